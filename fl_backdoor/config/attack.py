"""What malicious clients do, and when: the group ``attack`` of the configuration."""

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from fl_backdoor.config.marks import AddedLater, Mark, WithoutAttack
from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import STRICT, Count, Positive, PositiveCount, Share


@dataclass(frozen=True, config=STRICT)
class AttackConfig:
    """What malicious clients do, and when.

    Parameters
    ----------
    num_malicious
        How many of the clients are malicious; which ones follows from the seed.
    alpha
        Poison ratio: the share of a full batch that a malicious client stamps, rounded down; of each batch,
        the last and smaller one of an epoch as well.
    target_label
        The class that stamped samples are relabelled to.
    boost_factor
        The malicious update is multiplied by this.
    first_round, last_round
        Rounds in which malicious clients attack, both included, counted from 1; null: to the end.
    trigger
        What is stamped: a plug-in of ``fl_backdoor.attacks.triggers``.
    trigger_space
        ``pixel``: stamped in [0, 1] before normalisation. ``normalized``: the trigger's values are written
        into the normalised tensor, as the article's own code does.
    holds_target
        Whether the malicious clients are drawn from those with training samples of the target class, or from
        those without; null: from all. What they do is the same.
    participation
        How malicious clients get into the rounds in which they attack, if not all clients take part:
        ``sampled`` like everybody else; ``fixed``: they are put among the participants of these rounds, as in
        the code of model replacement and DBA. Z. Sun et al., Can You Really Backdoor Federated Learning?,
        2019, https://arxiv.org/abs/1911.07963, call them random sampling and fixed-frequency attacks.
    every
        A malicious client attacks in one of so many rounds; they take turns, in the order of their ids.
    disguise
        How what is sent is hidden: a plug-in of ``fl_backdoor.attacks.disguises``; empty: not at all.
    """

    num_malicious: Annotated[Count, WithoutAttack(0)]
    alpha: Annotated[Share, WithoutAttack(0.0)]
    target_label: Count
    boost_factor: Annotated[Positive, WithoutAttack(1.0)]
    first_round: Annotated[PositiveCount, Mark.ONLY_UNDER_ATTACK]
    last_round: Annotated[PositiveCount | None, Mark.ONLY_UNDER_ATTACK]
    trigger: dict[str, Any]
    trigger_space: Literal["pixel", "normalized"]
    holds_target: Annotated[bool | None, AddedLater(None), WithoutAttack(None)] = None
    participation: Annotated[Literal["sampled", "fixed"], AddedLater("sampled"), WithoutAttack("sampled")] = (
        "sampled"
    )
    every: Annotated[PositiveCount, WithoutAttack(1)] = 1
    disguise: Annotated[dict[str, Any], AddedLater({}), WithoutAttack({})] = field(default_factory=dict)

    def num_stamped(self, batch_size: int) -> int:
        """Return how many samples of each batch get the trigger, where a full one holds `batch_size`.

        A client with fewer samples than that has smaller batches: theirs is the size that counts.
        """
        return share_of(batch_size, self.alpha)

    def does_harm(self, batch_size: int) -> bool:
        """Return whether a client that attacks does anything else than a benign one.

        A small α stamps nothing, 0.02 none of 32; and then there is nothing to disguise.
        """
        return self.num_stamped(batch_size) > 0 or self.boost_factor != 1

    @property
    def most_at_once(self) -> int:
        """How many malicious clients attack in the same round, at most; in the first one they are as many."""
        return -(-self.num_malicious // self.every)
