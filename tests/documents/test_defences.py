"""docs/defences.md says what the docstrings say, and these say what a reader needs."""

import re

import pytest

from tests.documents.defences import FILE, defences, document

DEFENCES = defences()


def test_the_document_is_that_of_the_docstrings():
    assert FILE.read_text(encoding="utf-8") == document(), "python -m tests.documents.defences"


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_each_says_where_it_comes_from_and_what_it_costs(defence):
    assert re.search(r"\bCost\b", defence.docstring), "Cost: passes over the updates, memory"
    several_or_none = {"persistent_direction", "benign_alone", "flower"}
    assert defence.paper != "–" or defence.name in several_or_none


def test_some_rows_by_hand():
    rows = {defence.name: defence.row for defence in DEFENCES}
    assert rows["krum"] == (
        "| `krum` | the one update that lies closest to its nearest neighbours | chooses |"
        " [Blanchard 2017](https://arxiv.org/abs/1703.02757) | f |  |"
    )
    assert rows["hybrid"].endswith("| changes | [the article](reproduction.md) |  |  |")
    assert rows["dnc"].endswith("| chooses | Shejwalkar 2021 | f |  |")
    assert rows["foolsgold"].endswith("| [Fung 2020](https://arxiv.org/abs/1808.04866) |  | yes |")
