"""A second table: how the backdoor went, whom the model serves how well, and what the attack cost."""

from fl_backdoor.analysis.more_figures import MORE_FIGURES
from fl_backdoor.analysis.report.html import Html, element, folded, table
from fl_backdoor.analysis.report.material import Chapter, Material
from fl_backdoor.analysis.settings_table import more_cell

EXPLAINED = (
    "Mean ± standard deviation over seeds. Robust accuracy: share of the triggered samples that ASR counts "
    "that keep their true class. Client accuracy: what the global model comes to on each client’s own label "
    "shares, over all clients and over the tenth that it serves worst. Peak ASR: the highest from the first "
    "attack on; late ASR: its mean over the last 30 rounds with an attack. Rounds to open: from the first "
    "attack on until ASR was over 50 %; rounds open after: how many rounds right after the last attack it "
    "stayed there. Seconds are those of one reply, of attackers in rounds in which they attacked and of "
    "benign clients."
)


def more_results(material: Material) -> Html:
    """Return a table for each data set, of the figures that any of its runs knows."""
    tables = [found for chapter in material.chapters for found in _table(chapter)]
    if not tables:
        return Html()
    return folded("More figures of the same runs", element("p", EXPLAINED, class_="note"), *tables)


def _table(chapter: Chapter) -> list[Html]:
    comparison = chapter.comparison
    cells = {name: [more_cell(case.setting, name) for case in comparison.cases] for name in MORE_FIGURES}
    shown = [name for name, found in cells.items() if any(text[0].isdigit() for text in found)]
    if not shown:
        return []
    rows = [
        [case.defence, case.scenario, *(cells[name][at] for name in shown)]
        for at, case in enumerate(comparison.cases)
    ]
    header = ["defence", "attack", *(MORE_FIGURES[name].heading_with_unit for name in shown)]
    return [table(header, rows, f"More figures on {comparison.dataset}", class_="results")]
