"""Figures of a run beside accuracy, ASR and SR after its last round, as tables and the report have them."""

from dataclasses import dataclass

from fl_backdoor.analysis.seeds import Spread


@dataclass(frozen=True)
class MoreFigure:
    """One of them.

    Parameters
    ----------
    head
        What a reader knows it by.
    unit
        What it is counted in; of a share, which is shown in per cent, ``%``.
    """

    head: str
    unit: str = "%"

    @property
    def heading(self) -> str:
        """Its name at the head of a column of shares in per cent, with its unit where it is none."""
        return f"{self.head} ({self.unit})" if self.unit not in {"", "%"} else self.head

    @property
    def heading_with_unit(self) -> str:
        """Its name at the head of a column of a table that does not say what its shares are in."""
        return f"{self.head} ({self.unit})" if self.unit else self.head

    def text(self, found: Spread, num_seeds: int) -> str:
        """Write its mean ± standard deviation, and how many of the seeds know it where not all do.

        A backdoor that never opened has no number of rounds: it counts in no mean.
        """
        scale = 100 if self.unit == "%" else 1
        deviation = "" if found.std is None else f" ± {scale * found.std:.1f}"
        known = len(found.values)
        return f"{scale * found.mean:.1f}{deviation}" + (
            "" if known == num_seeds else f" ({known} of {num_seeds} seeds)"
        )


MORE_FIGURES = {
    "robust_accuracy": MoreFigure("robust accuracy"),
    "mean_client_accuracy": MoreFigure("client accuracy"),
    "worst_tenth_client_accuracy": MoreFigure("worst tenth of clients"),
    "peak_attack_success_rate": MoreFigure("peak ASR"),
    "late_attack_success_rate": MoreFigure("late ASR"),
    "rounds_to_open": MoreFigure("rounds to open", ""),
    "durability.rounds": MoreFigure("rounds open after", ""),
    "attacking_wall_seconds": MoreFigure("attacker", "s"),
    "benign_wall_seconds": MoreFigure("benign client", "s"),
    "attacking_cpu_seconds": MoreFigure("attacker, CPU", "s"),
    "benign_cpu_seconds": MoreFigure("benign client, CPU", "s"),
}
"""By the name that they have in ``rounds.csv`` or, dotted, in ``summary.json``."""
