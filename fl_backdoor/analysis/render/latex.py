"""A table for a paper: LaTeX with booktabs, which any recent pdfLaTeX, XeLaTeX or LuaLaTeX takes."""

from collections.abc import Sequence

from fl_backdoor.analysis.render.sheet import Sheet, letter

ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "%": r"\%",
        "#": r"\#",
        "_": r"\_",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "[": "{[}",
        "]": "{]}",
        '"': "{''}",
        "-": "{-}",
        "–": "--",
        "±": r"$\pm$",
        "×": r"$\times$",
        "·": r"$\cdot$",
        "−": r"$-$",
        "α": r"$\alpha$",
    }
)
"""Brackets would begin an option after ``\\\\``, and two hyphens would become a dash."""


def latex(sheet: Sheet) -> str:
    """Return `sheet` as a floating table, its footnotes below it."""
    alignment = "l" * sheet.num_names + "r" * (len(sheet.columns) - sheet.num_names)
    rows = [_cells(row, sheet.letters_of(number)) for number, row in enumerate(sheet.rows)]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(sheet.title)}}}",
        rf"  \begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        f"    {_cells(sheet.columns)}",
        r"    \midrule",
        *(f"    {row}" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(
            rf"  \par\footnotesize{_raised(letter(at))} {escape(note)}"
            for at, note in enumerate(sheet.footnotes)
        ),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return `text` so that LaTeX prints it as it is."""
    return " ".join(text.split()).translate(ESCAPES)


def _cells(row: Sequence[str], letters: str = "") -> str:
    first, *others = map(escape, row)
    return " & ".join([first + (_raised(letters) if letters else ""), *others]) + r" \\"


def _raised(letters: str) -> str:
    return rf"\textsuperscript{{{letters}}}"
