"""The top of the page: what was asked, what came out, and what to know before believing it."""

import math
from collections.abc import Sequence

from fl_backdoor.analysis.report.html import Html, element, folded, table
from fl_backdoor.analysis.report.material import Chapter, Material
from fl_backdoor.analysis.report.verdict import RULE, headline
from fl_backdoor.analysis.report.words import counted
from fl_backdoor.analysis.seeds import differing_keys, figure_settings
from fl_backdoor.analysis.varying_settings import plugin_of, short, value, varying_keys
from fl_backdoor.core.table import Cell
from fl_backdoor.runs.run import Settings
from fl_backdoor.runs.summary import REACHED_THE_END

IN_SHORT = {
    "strategy": "defence",
    "model._target_": "model",
    "num_rounds": "rounds",
    "partition.num_clients": "clients",
    "attack.num_malicious": "attackers",
    "attack.alpha": "α",
    "attack.boost_factor": "boost factor",
    "attack.target_label": "target class",
    "client.learning_rate": "learning rate",
    "client.batch_size": "batch size",
}
"""Common settings that are told at once; all others are a click away."""

MOST_VALUES = 12
"""Of one setting that differs."""


def head(material: Material) -> Html:
    """Return title, verdict and warnings."""
    return element(
        "header",
        element("p", f"fl_backdoor · report on {counted(len(material.runs), 'run')}", class_="kicker"),
        element("h1", "Does the defence hold?"),
        *(_answer(chapter, material) for chapter in material.chapters),
        _warnings(material),
    )


def question(material: Material) -> Html:
    """Return the settings that are common, those that differ, and each defence's verdict."""
    return element(
        "section",
        element("h2", "The question"),
        *_settings([figure_settings(run) for run in material.runs]),
        *(_verdicts(chapter, material) for chapter in material.chapters),
        element("p", RULE, class_="note"),
        id="question",
    )


def notices(material: Material) -> list[str]:
    """Return what a reader has to know before believing any figure, a line each."""
    cases, runs = material.cases, material.runs
    finished = [case for case in cases if case.is_finished]
    single = sum(len(case.setting.finished) == 1 for case in finished)
    attacked = [case for case in finished if case.attacks is not False]
    without_baseline = sum(case.mean("clean_attack_success_rate") is None for case in attacked)
    datasets = [chapter.comparison.dataset for chapter in material.chapters]
    unfinished = sum(run.status not in REACHED_THE_END for run in runs)
    diverged = sum(run.status == "diverged" for run in runs)
    told_apart = [
        (unfinished, f"{unfinished} of {counted(len(runs), 'run')} not finished: left out of all means."),
        (
            diverged,
            f"{diverged} of {counted(len(runs), 'run')} diverged: left out of all means; nothing is "
            "judged by what is left of their settings.",
        ),
        (
            len(datasets) > 1,
            f"{len(datasets)} data sets ({', '.join(datasets)}): shown apart, never averaged.",
        ),
        (
            single,
            f"{single} of {counted(len(finished), 'setting')} from one seed: differences may be chance.",
        ),
        (
            without_baseline,
            f"{counted(without_baseline, 'setting')} without a clean baseline of its own defence.",
        ),
        *_marked(material, "nobody attacked", "with attackers in which nobody attacked"),
        *_marked(material, "no round moved", "in which no round moved the model"),
        *_marked(material, "not the data set", "on another data set than was asked for"),
        *_marked(
            material, "oracle", "with an oracle: the defence knows the number of attackers, as no server does"
        ),
    ]
    return [text for holds, text in told_apart if holds]


def _marked(material: Material, beginning: str, text: str) -> list[tuple[int, str]]:
    found = sum(any(mark.startswith(beginning) for mark in run.marks) for run in material.runs)
    return [(found, f"{counted(found, 'run')} {text}.")]


def _answer(chapter: Chapter, material: Material) -> Html:
    where = f"{chapter.comparison.dataset}: " if len(material.chapters) > 1 else ""
    return element("p", where + headline(chapter.verdicts), class_="verdict")


def _warnings(material: Material) -> Html:
    unreadable = len(material.problems)
    found = [
        *([f"{counted(unreadable, 'thing')} could not be read."] if unreadable else []),
        *notices(material),
    ]
    if not found:
        return Html()
    more = element("a", "What could not be read, and what to know", href="#notes")
    items = element("ul", *(element("li", text) for text in found))
    return element(
        "aside", element("strong", "Before you believe it"), items, element("p", more), class_="warn"
    )


def _verdicts(chapter: Chapter, material: Material) -> Html:
    if len(chapter.verdicts) < 2:
        return Html()
    title = f"Verdicts on {chapter.comparison.dataset}" if len(material.chapters) > 1 else "Verdicts"
    items = [element("li", verdict.sentence) for verdict in chapter.verdicts]
    return element("div", element("h3", title), element("ul", *items, class_="verdicts"))


def _settings(all_told: Sequence[Settings]) -> list[Html]:
    differing, varying = differing_keys(all_told), varying_keys(all_told)
    common = {key: found for key, found in all_told[0].items() if key not in differing}
    in_short = [f"{name} {short(key, common[key])}" for key, name in IN_SHORT.items() if key in common]
    lead = ", ".join([*([str(common["dataset"])] if "dataset" in common else []), *in_short])
    rows = [[key, _values([found.get(key) for found in all_told])] for key in varying]
    following = _following([key for key in differing if key not in varying], all_told)
    return [
        element("p", f"Common to {counted(len(all_told), 'run')}: {lead}."),
        *([table(["setting", "values"], rows, "What differs")] if rows else []),
        *([table(["choice", "its settings"], following, "What comes with each choice")] if following else []),
        folded("All common settings", _all(common)),
    ]


def _following(keys: Sequence[str], all_told: Sequence[Settings]) -> list[list[str]]:
    """Return a row for each plug-in that brings settings of its own."""
    rows: dict[str, dict[str, None]] = {}
    for told_of_one in all_told:
        for key in keys:
            plugin = plugin_of(key, all_told)
            if plugin is not None and told_of_one.get(key) is not None:
                name = short(plugin, told_of_one.get(plugin))
                rows.setdefault(name, {})[f"{key.rpartition('.')[2]} = {value(told_of_one[key])}"] = None
    return [[name, ", ".join(settings)] for name, settings in rows.items()]


def _all(common: Settings) -> Html:
    rows = [[key, value(found)] for key, found in common.items()]
    return table(["setting", "value"], rows, "Common settings", class_="settings")


def _values(found: Sequence[Cell]) -> str:
    values = list(dict.fromkeys(value(one) for one in sorted(found, key=_in_order)))
    more = f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
    return ", ".join(values[:MOST_VALUES]) + more


def _in_order(found: Cell) -> float:
    """Return a number's own value; all else stays in the order of the runs, behind the numbers."""
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return math.inf
    return found
