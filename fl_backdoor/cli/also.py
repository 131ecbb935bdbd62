"""``--also``: figures beside those that a table or a comparison always shows."""

import argparse

from fl_backdoor.analysis.more_figures import MORE_FIGURES

EVERYTHING = "all"


def add_also(parser: argparse.ArgumentParser, what: str) -> None:
    """Give a command the option; `what` a figure is there, such as a column."""
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        choices=(*MORE_FIGURES, EVERYTHING),
        metavar="figure",
        help=f"a further {what}, again and again, or all: {', '.join(MORE_FIGURES)}; CSV has them anyway",
    )


def further_figures(asked: argparse.Namespace) -> tuple[str, ...]:
    """Return those of `MORE_FIGURES` that were asked for, each once."""
    return tuple(MORE_FIGURES if EVERYTHING in asked.also else dict.fromkeys(asked.also))
