"""BackdoorIndicator: clients get a model that knows senseless samples, and who keeps that knowledge is out.

S. Li and Y. Dai, BackdoorIndicator: Leveraging OOD Data for Proactive Backdoor Detection in Federated
Learning, USENIX Security 2024, https://arxiv.org/abs/2405.20862. Training on a task of its own keeps a
backdoor that is in the model already alive, where benign training lets it fade. So the server plants one:
before each round it trains the model on out-of-distribution samples with random labels, and sends that. A
client is left out if its model still knows 95 % or more of the samples of any one label. For that the
statistics of BatchNorm are those of the server's training; what is sent, and what the round's updates are
added to, has the statistics that the model had before it. As in the authors' code: 800 samples in batches
of 64, SGD of rate 0.005 (0.8 times after 10, 20, 30 and 160 epochs), momentum 0.9, weight decay 5e-4, 200
epochs, μ = 0.1.

Deviations: the samples are images of uniform noise, which the code has as a choice, where the paper's are of
another data set; a label has as many samples as any other, and they are the same in all rounds; there is no
norm clipping; if nobody is left the model is kept. The paper begins after 1,100 rounds or more of training:
a model that still learns much in a round forgets the samples, an attacker's as well, and an honest one that
takes all noise for one class counts as knowing that class: from an untrained model do not expect it to hold.

It assumes images, and attackers who train on their backdoor. Cost: as many passes over the samples in each
round as there are epochs, on one core or a GPU, while clients wait, and one for each client.
"""

from typing import Unpack

import numpy as np

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ModelArrays, NonNegative, Positive, PositiveCount, Ratio
from strategies.base import ClientUpdates, ServerContext
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.indicator.task import IndicatorTask
from strategies.robust_strategy import StrategyArguments
from strategies.workbench import Workbench

IMAGE_AXES = 3


class BackdoorIndicator(ChoiceStep):
    """Leaves out, and flags, clients whose models remember what the server has planted.

    Parameters
    ----------
    num_samples
        Of the indicator task.
    epochs
        Passes of the server's training over them.
    indicator_rate
        Its learning rate.
    pull
        μ, how strongly it is held to the model.
    accuracy_bound
        Who knows this share of the samples of a label, or more, is left out.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    needs = "network"

    def __init__(
        self,
        *,
        num_samples: PositiveCount = 800,
        epochs: PositiveCount = 200,
        indicator_rate: Positive = 0.005,
        pull: NonNegative = 0.1,
        accuracy_bound: Ratio = 0.95,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.num_samples = num_samples
        self.epochs = epochs
        self.indicator_rate = indicator_rate
        self.pull = pull
        self.accuracy_bound = accuracy_bound
        self._planted: ModelArrays = []

    def prepare(self, server: ServerContext) -> None:
        """Draw the samples; raises ConfigError if the network takes no images."""
        super().prepare(server)
        shape = self._workbench.input_shape
        if len(shape) != IMAGE_AXES:
            allowed = "BackdoorIndicator shows the network images of noise, (channels, height, width)"
            raise ConfigError("dataset", f"samples of shape {shape}", allowed)
        random = generator(server.seed, Purpose.INDICATOR_SAMPLES)
        self._task = IndicatorTask.drawn(self._workbench, self.num_samples, random)

    def sent(self, model: ModelArrays) -> ModelArrays:
        """Return the model, trained on the samples, with the buffers that it had."""
        layout = self.server.layout
        self._planted = self._task.learnt(
            self._workbench, model, epochs=self.epochs, learning_rate=self.indicator_rate, pull=self.pull
        )
        still = np.zeros(layout.num_params, dtype=np.float32)
        return layout.moved(self._planted, still, layout.buffers(model))

    def choose(self, clients: ClientUpdates) -> Choice:
        """Keep who has forgotten the samples."""
        layout = self.server.layout
        statistics = layout.buffers(self._planted or clients.model)
        kept = [
            self._task.best_class(self._workbench, layout.moved(clients.model, update, statistics))
            < self.accuracy_bound
            for update in clients.updates
        ]
        return Choice.of(np.array(kept, dtype=np.bool_))

    @property
    def _workbench(self) -> Workbench:
        assert self.server.workbench is not None
        return self.server.workbench
