"""When malicious clients attack, and which clients are malicious."""

from collections.abc import Container
from dataclasses import dataclass

from fl_backdoor.core.seeding import Purpose, generator


@dataclass(frozen=True)
class Schedule:
    """In which rounds a malicious client attacks; in others it trains like everybody else.

    Parameters
    ----------
    first_round, last_round
        A span of rounds, both ends included and counted from 1; `last_round` None: to the end.
    every
        Within it in one of so many rounds, by turns: with as many attackers one of them in each round.
    """

    first_round: int
    last_round: int | None
    every: int = 1

    def is_active(self, server_round: int, rank: int) -> bool:
        """Return whether the malicious client of this rank, from 0, attacks in this round."""
        is_within = self.first_round <= server_round and (
            self.last_round is None or server_round <= self.last_round
        )
        return is_within and (server_round - self.first_round - rank) % self.every == 0


def malicious_ids(
    num_clients: int, num_malicious: int, seed: int, candidates: Container[int] | None = None
) -> frozenset[int]:
    """Return who is malicious; with the same seed fewer attackers are a subset of more.

    With `candidates` only they can be; fewer than `num_malicious` are returned if they are fewer.
    """
    order = map(int, generator(seed, Purpose.MALICIOUS_CLIENTS).permutation(num_clients))
    drawn = [client_id for client_id in order if candidates is None or client_id in candidates]
    return frozenset(drawn[:num_malicious])
