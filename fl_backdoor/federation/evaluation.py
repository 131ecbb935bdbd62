"""Evaluation of the global model on the server, while clients already train the next one."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from types import TracebackType

import numpy as np
import torch
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from fl_backdoor.attacks.shared_state import TRIGGER, unpacked
from fl_backdoor.attacks.triggers.base import NOTHING
from fl_backdoor.core.types import ModelArrays
from fl_backdoor.data.samples import CLEAN, Poison
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.metrics import divergence
from fl_backdoor.metrics.backdoor import BackdoorFigures, backdoor_figures
from fl_backdoor.metrics.by_class import Shares, class_accuracies
from fl_backdoor.metrics.votes import Votes
from fl_backdoor.models.factory import first_not_finite, load_arrays
from fl_backdoor.training.trainer import Predictions, predict
from strategies.base import Voters, alone


@dataclass(frozen=True)
class Evaluation:
    """What a model came to on the test set.

    Parameters
    ----------
    figures
        Accuracy, loss and what became of the backdoor.
    by_class
        Accuracy on clean samples of each class, float64 ``(n_classes,)``.
    diverged
        Why the model cannot be used; None: it can.
    seconds
        How long it took.
    """

    figures: BackdoorFigures
    by_class: Shares
    diverged: str | None
    seconds: float


Then = Callable[[Evaluation], None]


class Evaluator:
    """Works out what models come to on the test set, one model at a time.

    Where several models vote on each sample, the figures are those of the votes, and the loss is their mean.

    Clean and triggered samples are predicted side by side, each in one thread: whatever cores there are, the
    figures are the same.

    Parameters
    ----------
    context
        Its model is overwritten by those that are evaluated.
    """

    def __init__(self, context: ExperimentContext) -> None:
        self.context = context
        self._threads = ThreadPoolExecutor(2, "evaluation", initializer=torch.set_num_threads, initargs=(1,))
        self._running: Future[None] | None = None
        self.trigger = context.trigger

    def start(
        self, model: ArrayRecord, then: Then, shared_state: bytes = b"", voters: Voters = alone
    ) -> None:
        """Evaluate `model` in the background and call `then`, once the evaluation before it is through.

        `shared_state` has what malicious clients have learnt about their trigger, `voters` makes of the model
        those that have a vote. Whatever the evaluation before raised is raised here.
        """
        self.wait()
        self.trigger = self.context.trigger.with_learnt(unpacked(shared_state).get(TRIGGER, NOTHING))
        arrays = list(model.to_numpy_ndarrays())
        load_arrays(self.context.model, arrays)
        self._running = self._threads.submit(self._evaluate, arrays, voters, then)

    def wait(self) -> None:
        """Wait for the evaluation that is under way; raises what it raised."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def __enter__(self) -> "Evaluator":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._threads:
            self.wait()

    def _evaluate(self, model: ModelArrays, voters: Voters, then: Then) -> None:
        started = time.perf_counter()
        poisoning, labels = self.context.poisoning, self.context.data.test.labels
        poison = poisoning.in_test(self.trigger, self.context.config.attack.trigger_space)
        clean, triggered = self._predicted(model, voters, poison)
        figures = backdoor_figures(
            labels, clean.classes, triggered, clean.loss, targets=poisoning.aims()[labels]
        )
        by_class = class_accuracies(labels, clean.classes, self.context.dataset.num_classes)
        diverged = divergence.of_model(
            first_not_finite(self.context.model), (clean.classes, triggered), clean.loss
        )
        then(Evaluation(figures, by_class, diverged, time.perf_counter() - started))

    def _predicted(
        self, model: ModelArrays, voters: Voters, poison: Poison
    ) -> tuple[Predictions, NDArray[np.int64]]:
        """Return the votes on clean and on triggered samples; at the end `model` is loaded again."""
        losses, clean, triggered = list[float](), Votes(), Votes()
        loaded = model
        for voter in voters(model):
            self._load(voter, in_place_of=loaded)
            loaded = voter
            stamped = self._threads.submit(self._predict, poison)
            predicted = self._predict(CLEAN)
            losses.append(predicted.loss)
            clean.add(predicted.classes)
            triggered.add(stamped.result().classes)
        self._load(model, in_place_of=loaded)
        return Predictions(clean.majority(), fmean(losses)), triggered.majority()

    def _load(self, model: ModelArrays, in_place_of: ModelArrays) -> None:
        if model is not in_place_of:
            load_arrays(self.context.model, model)

    def _predict(self, poison: Poison) -> Predictions:
        context = self.context
        batch_size = context.config.server.eval_batch_size
        return predict(context.model, context.test_samples, batch_size, poison, context.precision)
