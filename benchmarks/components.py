r"""How attackers come to stand out: the leading component of similarities by round, and what becomes of ASR.

A run that writes the component down, the same run without a defence, and the figure of both:

    python -m fl_backdoor.main experiment=article/fedavg seed=1 precision=bf16 \
        strategy._target_=benchmarks.components.Watched +strategy.file=outputs/components.csv \
        hydra.run.dir=outputs/watched
    python -m fl_backdoor.main experiment=article/fedavg seed=1 precision=bf16 \
        hydra.run.dir=outputs/undefended
    python -m benchmarks.components outputs/components.csv outputs/watched outputs/undefended figure.png
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from fl_backdoor.core import files, table
from fl_backdoor.runs import client_table, figures, round_table
from strategies.base import Aggregation, ClientUpdates
from strategies.persistent_direction.group_test import leading_vectors
from strategies.persistent_direction.rule import PersistentDirection
from strategies.persistent_direction.similarity import similarities
from strategies.robust_strategy import StrategyArguments

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("server_round", "client_id", "component")
BENIGN, ATTACKER = "#999999", figures.OKABE_ITO[1]
CURVES = (
    ("main_task_accuracy", "accuracy", figures.OKABE_ITO[0]),
    ("attack_success_rate", "ASR", figures.OKABE_ITO[1]),
)


class Watched(PersistentDirection):
    """PersistentDirection with its usual settings, which writes down the component of each client.

    Parameters
    ----------
    file
        A table with a row per known client and round; an older one is replaced.
    """

    def __init__(self, *, file: str, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.file = Path(file)

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Do what the rule does, and write down what it saw."""
        if clients.server_round == 1:
            self.file.write_bytes(table.header(COLUMNS))
        aggregation = super().aggregate(clients)
        known = similarities(self.memories["lengths"])
        if len(known.client_ids) > 1:
            similar = known.mean - np.diag(np.diag(known.mean))
            rows = zip(known.client_ids, leading_vectors(similar[None])[0], strict=True)
            written = [dict(zip(COLUMNS, (clients.server_round, *row), strict=True)) for row in rows]
            files.append(self.file, table.lines(written, COLUMNS))
        return aggregation


def draw(components: Path, watched: Path, undefended: Path, out: Path) -> None:
    """Draw components by round, and accuracy and ASR of both runs, into a PNG."""
    figure = figures.new_figure(1000, 900)
    above, below = figure.subplots(2, 1, sharex=True)
    _draw_components(above, table.read(components, COLUMNS), client_table.read(watched / "clients.csv"))
    for folder, name, line in ((undefended, "no defence", "--"), (watched, "persistent direction", "-")):
        rounds = round_table.read(folder / "rounds.csv")
        for column, label, colour in CURVES:
            y = [100 * float(row[column]) for row in rounds]
            below.plot(
                [row["server_round"] for row in rounds], y, line, color=colour, label=f"{label}, {name}"
            )
    below.set(xlabel="round", ylabel="%", ylim=(-2, 102))
    below.legend(loc="upper left", ncols=2, fontsize=8)
    figures.save(figure, out)


def _draw_components(axes: "Axes", rows: list[table.Row], clients: list[table.Row]) -> None:
    attackers = {row["client_id"] for row in clients if row["malicious"]}
    signs = {
        server_round: _sign(rows, server_round) for server_round in {row["server_round"] for row in rows}
    }
    for client_id in sorted({int(row["client_id"]) for row in rows}):
        its = [row for row in rows if row["client_id"] == client_id]
        y = [signs[row["server_round"]] * row["component"] for row in its]
        look = (
            {"color": ATTACKER, "marker": "s"} if client_id in attackers else {"color": BENIGN, "marker": "o"}
        )
        axes.plot([row["server_round"] for row in its], y, markersize=4, **look)
    flagged = [row["server_round"] for row in clients if row["flagged"]]
    if flagged:
        axes.axvline(min(flagged), color="#000000", linestyle=":")
    axes.set_ylabel("leading component")
    axes.set_title("attackers: squares; dotted: first flagged", fontsize=10)


def _sign(rows: list[table.Row], server_round: table.Cell) -> int:
    """Return by what a round's components are multiplied so that the few point upwards."""
    values = np.array([row["component"] for row in rows if row["server_round"] == server_round])
    return 1 if np.sum(values**3) > 0 else -1


def main() -> None:
    """Draw the figure of runs that were made before."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.components", description=__doc__)
    for name in ("components", "watched", "undefended", "out"):
        parser.add_argument(name, type=Path)
    draw(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
