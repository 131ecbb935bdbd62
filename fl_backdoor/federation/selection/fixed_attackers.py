"""Exactly so many malicious clients in a round, and benign ones beside them.

As the code of these papers puts rounds together: C. Xie et al., DBA: Distributed Backdoor Attacks against
Federated Learning, ICLR 2020 (attackers in rounds that are named); H. Zhang et al., A3FL: Adversarially
Adaptive Backdoor Attacks to Federated Learning, NeurIPS 2023 (so many in each round).
"""

import numpy as np

from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import PositiveCount
from fl_backdoor.federation.selection.base import Candidates, ClientIds
from fl_backdoor.federation.selection.uniform import Uniform


class FixedAttackers(Uniform):
    """Draws the malicious and the benign clients of a round separately, each without replacement.

    Malicious clients take part in rounds of the attack alone (``attack.first_round`` to
    ``attack.last_round``), and in those of them that `every` or `rounds` names; in all others there are
    benign clients alone. In a run without attackers this is the plain draw.

    Parameters
    ----------
    num_attackers
        How many malicious clients take part.
    every
        In one of so many rounds, from ``attack.first_round`` on.
    rounds
        In these rounds instead; None: as `every` says.
    in_turn
        Whether they take turns, in the order of their ids, `num_attackers` at a time; else they are drawn.
    """

    def __init__(
        self,
        *,
        num_attackers: PositiveCount = 1,
        every: PositiveCount = 1,
        rounds: list[PositiveCount] | None = None,
        in_turn: bool = False,
    ) -> None:
        self.num_attackers = num_attackers
        self.every = every
        self.rounds = None if rounds is None else sorted(set(rounds))
        self.in_turn = in_turn

    def check(self, config: ExperimentConfig) -> None:
        """Refuse what contradicts the attack, and rounds for which there are too few clients."""
        if not config.attacks:
            return
        self._check_attack(config)
        schedule = Schedule(config.attack.first_round, config.attack.last_round)
        turns = [self._turn(each, schedule) for each in config.rounds]
        if all(turn is None for turn in turns):
            allowed = f"must name some of the rounds {config.rounds[0]} … {config.num_rounds}"
            raise ConfigError("selection.rounds", self.rounds, allowed)
        num_benign = config.partition.num_clients - config.attack.num_malicious
        num_seats = config.participants_per_round - (0 if None in turns else self.num_attackers)
        if num_benign < num_seats:
            allowed = (
                f"a round has up to {num_seats} seats for benign clients, of whom there are {num_benign}"
            )
            raise ConfigError("clients_per_round", config.clients_per_round, allowed)

    def drawn(self, server_round: int, candidates: Candidates, random: np.random.Generator) -> ClientIds:
        """Return the attackers of the round, if it is one of theirs, and benign clients after them."""
        malicious = candidates.malicious
        if not malicious:
            return super().drawn(server_round, candidates, random)
        # The benign ones first: how many attackers there are changes none of them but the last.
        benign = random.permutation(np.setdiff1d(np.arange(candidates.num_clients), malicious))
        turn = self._turn(server_round, candidates.schedule)
        attackers: list[int] = []
        if turn is not None and self.in_turn:
            first = turn * self.num_attackers
            attackers = [malicious[(first + place) % len(malicious)] for place in range(self.num_attackers)]
        elif turn is not None:
            attackers = random.permutation(malicious)[: self.num_attackers].tolist()
        return [*attackers, *benign[: candidates.num_participants - len(attackers)].tolist()]

    def _turn(self, server_round: int, schedule: Schedule) -> int | None:
        """Return how many rounds with attackers came before this one; None: it has none."""
        if not schedule.is_active(server_round, rank=0):
            return None
        if self.rounds is not None:
            return self.rounds.index(server_round) if server_round in self.rounds else None
        since, left = divmod(server_round - schedule.first_round, self.every)
        return None if left else since

    def _check_attack(self, config: ExperimentConfig) -> None:
        attack = config.attack
        for key, found, wanted in (
            ("participation", attack.participation, "sampled"),
            ("every", attack.every, 1),
        ):
            if found != wanted:
                allowed = f"must be {wanted} where the selection says which attackers take part when"
                raise ConfigError(f"attack.{key}", found, allowed)
        if self.rounds is not None and self.every != 1:
            raise ConfigError(
                "selection.every", self.every, "must be 1 where selection.rounds names the rounds"
            )
        for most, key in (
            (attack.num_malicious, "attack.num_malicious"),
            (config.participants_per_round, "the participants of a round"),
        ):
            if self.num_attackers > most:
                raise ConfigError(
                    "selection.num_attackers", self.num_attackers, f"must be at most {key} = {most}"
                )
        schedule = Schedule(attack.first_round, attack.last_round)
        for each in self.rounds or ():
            if not schedule.is_active(each, rank=0):
                allowed = f"in round {each} nobody attacks, see attack.first_round"
                raise ConfigError("selection.rounds", self.rounds, allowed)
