"""What a comparison says, as tables and lines, or as CSV with all digits."""

import statistics
from collections.abc import Callable, Sequence

from fl_backdoor.analysis.comparison import FIGURES, Comparison, Differs, Pair
from fl_backdoor.analysis.difference import Difference
from fl_backdoor.analysis.more_figures import MORE_FIGURES
from fl_backdoor.analysis.render.sheet import Sheet, gather
from fl_backdoor.analysis.settings_table import UNKNOWN, marks_of
from fl_backdoor.analysis.varying_settings import value
from fl_backdoor.core import table
from fl_backdoor.runs.run import Run, Settings

NAMES = {
    "main_task_accuracy": "accuracy",
    "attack_success_rate": "ASR",
    "success_rate": "SR",
    "test_loss": "test loss",
    "true_positive_rate": "round TPR",
    "false_positive_rate": "round FPR",
    "client_true_positive_rate": "client TPR",
    "client_false_positive_rate": "client FPR",
    "wall_seconds": "seconds",
} | {name: more.heading for name, more in MORE_FIGURES.items()}

NO_SHARES = ("test_loss", "wall_seconds", *(name for name, more in MORE_FIGURES.items() if more.unit != "%"))
"""All other figures are shares, and shown in per cent."""

SAYS = {True: "yes", False: "no", None: "?"}

COLUMNS = (
    "setting",
    "figure",
    "method",
    "n_a",
    "mean_a",
    "std_a",
    "n_b",
    "mean_b",
    "std_b",
    "difference",
    "low",
    "high",
    "p",
    "larger",
)

MOST_VALUES = 3
"""Values of one side that are shown; of more, how many there are."""

Part = Sheet | str


def parts(found: Comparison, a: str, b: str, also: Sequence[str] = ()) -> list[Part]:
    """Return the comparison of what is called `a` and `b`, in the order in which it is read.

    `also` are those of `MORE_FIGURES` that are compared beside `FIGURES`.
    """
    names = (*FIGURES, *also)
    shown: list[Part] = [*_warnings(found), _side(f"A: {a}", found.a), _side(f"B: {b}", found.b)]
    shown += [_differences(found.differs)] if found.differs else []
    shown += _said_of_settings(found)
    for pair in found.pairs:
        shown += [*([_figures(pair, names)] if pair.has_figures else []), *_lines(pair, names)]
    return shown + _alone(found)


def csv(found: Comparison) -> bytes:
    """Return all figures that could be compared, shares in [0, 1], a row each."""
    rows = [
        _exact(pair, name, difference)
        for pair in found.pairs
        for name in (*FIGURES, *MORE_FIGURES)
        if (difference := pair.difference(name))
    ]
    return table.header(COLUMNS) + table.lines(rows, COLUMNS)


def _warnings(found: Comparison) -> list[str]:
    a, b = (", ".join(names) for names in found.datasets)
    return [] if a == b else [f"Different data sets, A {a} and B {b}: the figures are not comparable."]


def _said_of_settings(found: Comparison) -> list[str]:
    unknown = [
        name for name, runs in (("A", found.a), ("B", found.b)) if not any(run.settings for run in runs)
    ]
    if unknown:
        return [f"The settings of {name} are unknown." for name in unknown]
    return [] if found.differs else ["Nothing differs in their settings."]


def _side(name: str, runs: Sequence[Run]) -> str:
    seeds = sorted({run.seed for run in runs if run.seed is not None})
    finished = sum(run.status == "finished" for run in runs)
    lost = sum(run.status == "diverged" for run in runs)
    count = f"{finished} of {len(runs)} runs finished" if len(runs) > 1 else runs[0].status
    count += f", {lost} diverged" if lost and len(runs) > 1 else ""
    datasets = ", ".join(dict.fromkeys(run.dataset for run in runs))
    return f"{name} ({datasets}, {count}, {_seeds(seeds)})"


def _differences(differs: Sequence[Differs]) -> Sheet:
    rows = tuple((one.key, _values(one.key, one.a), _values(one.key, one.b)) for one in differs)
    return Sheet("What differs", ("", "A", "B"), rows, num_names=3)


def _values(key: str, found: Sequence[table.Cell]) -> str:
    if len(found) > MOST_VALUES:
        return f"{len(found)} values"
    # Twelve digits name a commit, and two of forty do not fit into a line.
    texts = [value(one)[:12] if key == "git_commit" else value(one) for one in found]
    return ", ".join(texts) or UNKNOWN


def _figures(pair: Pair, names: Sequence[str]) -> Sheet:
    known = [(name, found) for name in names if (found := pair.difference(name))]
    usual = _method(known[0][1])
    methods = [_method(found) for _, found in known]
    footnotes, noted = gather([[] if method == usual else [method] for method in methods])
    return Sheet(
        title=f"{_label(pair.common) or 'Figures'} ({usual}; shares in %)",
        columns=("", "A", "B", "B - A", "95 % interval", "p", "larger"),
        rows=tuple(_cells(name, found) for name, found in known),
        num_names=1,
        footnotes=footnotes,
        noted=noted,
    )


def _cells(name: str, found: Difference) -> tuple[str, ...]:
    write = _writer(name, found)
    interval = UNKNOWN
    if found.low is not None and found.high is not None:
        interval = f"{write(found.low)} to {write(found.high)}"
    sign = "+" if found.mean > 0 else ""
    means = (_mean(write, found.a), _mean(write, found.b), sign + write(found.mean))
    return (NAMES[name], *means, interval, _p(found.p), SAYS[found.larger])


def _writer(name: str, found: Difference) -> Callable[[float], str]:
    """Return how all numbers of a row are written, so that a row fits into 80 columns."""
    if name in NO_SHARES:
        digits = 0 if max(found.a + found.b) >= 100 else 3 if name == "test_loss" else 1
        return lambda number: f"{number:.{digits}f}"
    return lambda number: f"{100 * number:.2f}"


def _mean(write: Callable[[float], str], values: Sequence[float]) -> str:
    mean = write(statistics.fmean(values))
    return f"{mean} ± {write(statistics.stdev(values))}" if len(values) > 1 else mean


def _p(found: float | None) -> str:
    if found is None:
        return UNKNOWN
    return "<.001" if found < 0.001 else f"{found:.2g}"


def _method(found: Difference) -> str:
    if found.method == "paired":
        return f"{len(found.a)} seeds, paired"
    if found.method == "Welch":
        return f"{len(found.a)} and {len(found.b)} seeds, Welch"
    return "one seed"


def _lines(pair: Pair, names: Sequence[str]) -> list[str]:
    marks = [f"{name}: {mark}" for name, side in (("A", pair.a), ("B", pair.b)) for mark in marks_of(side)]
    return [_verdict(pair, names), *_bits(pair), *marks]


def _verdict(pair: Pair, names: Sequence[str]) -> str:
    found = {name: difference for name in names if (difference := pair.difference(name))}
    if not found:
        return f"Nothing can be compared{_of(pair)}: {_why_nothing(pair)}."
    if all(difference.larger is None for difference in found.values()):
        return "One seed on a side: nothing can be said about the spread over seeds."
    larger = [NAMES[name] for name, difference in found.items() if difference.larger]
    return f"Larger than the spread over seeds: {', '.join(larger) or 'nothing'}."


def _why_nothing(pair: Pair) -> str:
    lost = [name for name, side in (("A", pair.a), ("B", pair.b)) if side.diverged and not side.finished]
    return f"{' and '.join(lost)} diverged" if lost else "a side has no finished run"


def _bits(pair: Pair) -> list[str]:
    """Say which seeds came to the same bits; what is not the same is of interest under the same settings."""
    apart = pair.apart()
    same = [seed for seed, phrases in apart.items() if not phrases]
    lines = [f"Same bits, clocks aside, in tables and model: {_seeds(same)}."] if same else []
    if not pair.is_same_setting:
        return lines
    others = [(seed, "; ".join(phrases)) for seed, phrases in apart.items() if phrases]
    return lines + [f"Not the same bits, {_seeds([seed])}: {phrases}." for seed, phrases in others]


def _alone(found: Comparison) -> list[str]:
    sides = zip(("A", "B"), found.num_alone, strict=True)
    return [f"Settings of {name} without a partner: {count}." for name, count in sides if count]


def _label(common: Settings) -> str:
    return ", ".join(f"{key} = {value(found)}" for key, found in common.items())


def _of(pair: Pair) -> str:
    return f" of {_label(pair.common)}" if pair.common else ""


def _seeds(seeds: Sequence[int | None]) -> str:
    names = ["unknown" if seed is None else str(seed) for seed in seeds] or ["unknown"]
    return f"seed{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _exact(pair: Pair, name: str, found: Difference) -> table.Row:
    row: table.Row = {
        "setting": _label(pair.common) or None,
        "figure": name,
        "method": found.method,
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "larger": found.larger,
    }
    for side, values in (("a", found.a), ("b", found.b)):
        row |= {
            f"n_{side}": len(values),
            f"mean_{side}": statistics.fmean(values),
            f"std_{side}": statistics.stdev(values) if len(values) > 1 else None,
        }
    return row
