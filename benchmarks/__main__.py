"""All benchmarks, or those that are named: ``python -m benchmarks server engine --repeats 5``."""

import argparse
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks.measure import Figure, Scale
from benchmarks.report import print_figures, write_json, write_markdown

NAMES = (
    *("server", "engine", "whole_run", "resnet", "precision", "startup", "scale", "deployment"),
    *("augmentation", "sweep", "gpu"),
)
"""Modules of this package, in the order in which they are measured."""


def main() -> None:
    """Measure, print a table for each benchmark, and write JSON and Markdown as it goes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)}; default: all")
    parser.add_argument("--repeats", type=int, default=3, help="how often each quantity is measured")
    parser.add_argument("--small", action="store_true", help="a short run that shows that everything works")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/benchmarks.json"))
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    console = Console()
    scale = Scale(arguments.small, arguments.repeats)
    measured: dict[str, list[Figure]] = {}
    for name in arguments.names or NAMES:
        measured[name] = []
        for figure in import_module(f"benchmarks.{name}").measure(scale):
            measured[name].append(figure)
            console.print(f"{name}: {figure.case}: {figure.quantity} {figure.median:.4g} {figure.unit}")
            write_json(arguments.out, measured)
            write_markdown(arguments.out.with_suffix(".md"), measured)
        print_figures(console, name, measured[name])
    console.print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
