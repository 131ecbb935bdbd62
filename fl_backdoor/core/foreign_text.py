"""Texts from other machines, before they reach a file or a terminal: short, printable, and no formula."""

import re

LONGEST = 500
"""Characters that are kept of a text."""

# CSI and OSC sequences as a whole: without their first character they would still litter a line.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?", re.DOTALL)
_FORMULA = ("=", "+", "-", "@")


def printable(text: str) -> str:
    """Return the whole of `text` as one line that any file and any terminal can take.

    What cannot be printed, line ends and escapes for one, becomes a space; half a surrogate pair, which YAML,
    JSON and names of files can spell, a question mark.
    """
    whole = text.encode("utf-8", "replace").decode()
    return whole if whole.isprintable() else "".join(char if char.isprintable() else " " for char in whole)


def cleaned(text: str, longest: int = LONGEST) -> str:
    """Return one printable line of at most `longest` characters that no spreadsheet takes for a formula.

    Escape sequences are taken out; what else cannot be printed (control characters, line ends, marks that
    turn the direction of writing, lone surrogates) becomes a space, and runs of spaces one space.
    """
    # What is cut away need not be cleaned: a reason can have a hundred million characters.
    plain = _ESCAPES.sub("", text[: 8 * longest])
    line = " ".join("".join(char if char.isprintable() else " " for char in plain).split())
    if line.startswith(_FORMULA):
        line = f"'{line}"
    is_cut = len(line) > longest or len(text) > 8 * longest
    return f"{line[: longest - 1]}…" if is_cut else line
