import re

import pytest
from rich.console import Console

from fl_backdoor.analysis.render import latex, markdown
from fl_backdoor.analysis.render.sheet import Sheet, gather, letter
from fl_backdoor.analysis.render.terminal import show

SHEET = Sheet(
    title="A_b, 5 % ± 1",
    columns=("name_1", "α", "x"),
    rows=(("a|b", "0.1", "90.0 ± 1.5"), ("c\\d", "–", "–")),
    num_names=2,
    footnotes=("one {seed}", "not & finished"),
    noted=((0, 1), ()),
)


def test_latex_by_hand():
    assert (
        latex.latex(SHEET)
        == r"""% needs \usepackage{booktabs}
\begin{table}
  \centering
  \caption{A\_b, 5 \% $\pm$ 1}
  \begin{tabular}{llr}
    \toprule
    name\_1 & $\alpha$ & x \\
    \midrule
    a|b\textsuperscript{a,b} & 0.1 & 90.0 $\pm$ 1.5 \\
    c\textbackslash{}d & -- & -- \\
    \bottomrule
  \end{tabular}
  \par\footnotesize\textsuperscript{a} one \{seed\}
  \par\footnotesize\textsuperscript{b} not \& finished
\end{table}
"""
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\", r"\textbackslash{}"),
        ("{}$&%#_", r"\{\}\$\&\%\#\_"),
        ("^~", r"\textasciicircum{}\textasciitilde{}"),
        ("[2, 27]", "{[}2, 27{]}"),
        ("--", "{-}{-}"),
        ("a\nb", "a b"),
        ('say "so"', "say {''}so{''}"),
    ],
)
def test_latex_prints_what_it_is_given(text, expected):
    assert latex.escape(text) == expected


def test_everything_that_latex_opens_it_closes():
    hard = "\\ { } $ & % # _ ^ ~ < > [ ] \" - ' ` α ± ×"
    sheet = Sheet(hard, (hard, hard), ((hard, hard),), 1, (hard,), ((0,),))
    text = latex.latex(sheet)
    bare = re.sub(r"\\[\\{}$&%#_]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r" \\")]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in lines] == [1, 1], "as many cells as columns"
    assert not re.search(r"(?<!\\)%", body), "nothing is commented out"


def test_markdown_by_hand():
    assert markdown.markdown(SHEET) == (
        "A\\_b, 5 % ± 1\n"
        "\n"
        "| name\\_1 | α | x |\n"
        "| --- | --- | ---: |\n"
        "| a\\|b<sup>a,b</sup> | 0.1 | 90.0 ± 1.5 |\n"
        "| c\\\\d | – | – |\n"
        "\n"
        "<sup>a</sup> one \\{seed\\}  \n"
        "<sup>b</sup> not \\& finished\n"
    )


def test_notes_are_gathered_once():
    assert gather([["x", "y"], [], ["y", "z"]]) == (("x", "y", "z"), ((0, 1), (), (1, 2)))


def test_there_is_a_letter_for_any_number_of_notes():
    letters = [letter(note) for note in range(26 * 27)]
    assert letters[:2] + letters[25:28] + letters[-1:] == ["a", "b", "z", "aa", "ab", "zz"]
    assert len(set(letters)) == len(letters)


def test_a_terminal_of_eighty_columns_folds_a_long_value_within_its_column():
    a, b = "0123456789" * 7, "abcdefghij" * 7
    console = Console(width=80, record=True, force_terminal=True)
    show(console, Sheet("t", ("key", "A", "B"), (("k", a, b),), 3))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "".join(re.findall(r"\d+", text)) == a
    assert "".join(re.findall(r"[a-j]{4,}", text)) == b
