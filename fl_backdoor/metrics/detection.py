"""Whether a defence suspected the right clients."""

from dataclasses import dataclass

from fl_backdoor.types import ClientMask


@dataclass(frozen=True)
class Detection:
    """Counts of one round, and rates, None where nobody is malicious or nobody is benign.

    Only clients that really attacked in the round count as malicious.
    """

    true_positives: int
    false_positives: int
    true_positive_rate: float | None
    false_positive_rate: float | None


def detection(flagged: ClientMask, attacking: ClientMask) -> Detection:
    """Compare whom a defence flagged with who attacked, both bool ``(n_clients,)``."""
    true_positives = int((flagged & attacking).sum())
    false_positives = int((flagged & ~attacking).sum())
    return Detection(
        true_positives,
        false_positives,
        _rate(true_positives, int(attacking.sum())),
        _rate(false_positives, int((~attacking).sum())),
    )


def _rate(count: int, total: int) -> float | None:
    return count / total if total else None
