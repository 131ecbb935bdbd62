"""The learning rate of clients in a round: server and clients work it out alike, from the configuration."""

import math

from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.training.lr_schedules.base import LRSchedule


class LearningRates:
    """Learning rates over the rounds of a run.

    Parameters
    ----------
    config
        Its client settings, its schedule, its number of rounds.

    Raises
    ------
    ConfigError
        If the schedule cannot be built.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self._client = config.client
        self._rounds, self._num_rounds = config.rounds, config.num_rounds
        self._schedule: LRSchedule = plugins.build(config.lr_schedule, "lr_schedule")

    def factor(self, server_round: int) -> float:
        """Return what the schedule multiplies learning rates by in a round, counted from 1."""
        return self._schedule.factor(server_round, self._num_rounds)

    def benign(self, server_round: int) -> float:
        """Return the learning rate of benign clients in a round."""
        return self._client.learning_rate * self.factor(server_round)

    def of_gradients(self, server_round: int) -> float:
        """Return the lr in g = Δ / (-lr·T), a benign client's average gradient in a round; NaN under Adam.

        Adam's steps are no multiples of gradients. Under SGD lr is the same in all steps of a round, whatever
        the schedule; momentum is left out of account.
        """
        return self.benign(server_round) if self._client.shows_gradients else math.nan

    def check(self) -> None:
        """Refuse a schedule under which some round has no learning rate; raises ConfigError."""
        for server_round in self._rounds:
            if not 0 < self.benign(server_round) < math.inf:
                found = f"the learning rate of round {server_round} is {self.benign(server_round):g}"
                allowed = f"{found}: set a floor over 0, or fewer rounds"
                raise ConfigError("lr_schedule", type(self._schedule).__name__, allowed)
