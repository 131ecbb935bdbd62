"""A PyTorch data set of which a share is poisoned, for clients that train in a way of their own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import Dataset

from fl_backdoor.attacks.poisoning.base import Poisoning, drawn_once
from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import Count, Share


class PoisonedDataset(Dataset[Any]):
    """A map-style data set in which some samples are stamped and relabelled, the same ones each time.

    Items are what they were, but for sample and label of those that are poisoned.

    Parameters
    ----------
    clean
        Its items are pairs of a sample and its label, or mappings. Samples are tensors as the trigger takes
        them: images as float32 ``(channels, height, width)`` with pixels in [0, 1], or sentences as int32
        ``(num_tokens,)``. Labels are integers.
    poisoning
        Which classes are poisoned, and how they are relabelled.
    trigger
        What poisoned samples get; None where the poisoning has none.
    alpha
        Share of all samples that is drawn, rounded down. Of these, samples of a class that is not poisoned
        stay as they are.
    seed, client_id
        The draw follows from them.
    keys
        Under which names items that are mappings hold sample and label; None: they are pairs.

    Raises
    ------
    ConfigError
        If alpha is no share, or there is no trigger where one is needed. When an item is asked for: if its
        sample is no tensor.
    """

    def __init__(
        self,
        clean: Dataset[Any],
        poisoning: Poisoning,
        trigger: Trigger | None = None,
        *,
        alpha: Share,
        seed: Count = 0,
        client_id: Count = 0,
        keys: tuple[str, str] | None = None,
    ) -> None:
        if not 0 <= alpha <= 1:
            raise ConfigError("alpha", alpha, "must be a share in [0, 1]")
        if trigger is None and poisoning.uses_trigger:
            raise ConfigError("trigger", None, f"{type(poisoning).__name__} needs one")
        self.clean = clean
        self.poisoning = poisoning
        self.trigger = trigger
        self.keys = keys
        self.chosen = torch.zeros(len(clean), dtype=torch.bool)  # type: ignore[arg-type]  # map-style: it has one
        self.chosen[torch.from_numpy(drawn_once(len(self.chosen), alpha, seed, client_id))] = True

    def __len__(self) -> int:
        """Return how many samples there are, poisoned or not."""
        return len(self.chosen)

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401 - as the clean data set has it
        """Return an item, poisoned if it was drawn and its class is one that is poisoned."""
        item = self.clean[index]
        if not self.chosen[index]:
            return item
        sample_key, label_key = self.keys or (0, 1)
        sample, label = self._poisoned(item[sample_key], item[label_key], index)
        return (
            {**item, sample_key: sample, label_key: label} if isinstance(item, Mapping) else (sample, label)
        )

    def _poisoned(self, sample: object, label: Any, index: int) -> tuple[torch.Tensor, Any]:  # noqa: ANN401
        if not isinstance(sample, torch.Tensor):
            raise ConfigError("clean", type(sample).__name__, "must hold tensors, as the trigger takes them")
        labels, indices = torch.tensor([int(label)]), torch.tensor([index])
        poison = self.poisoning.of_samples(self.trigger, "pixel", self.chosen).for_batch(labels, indices)
        relabelled = int(poison.labels(labels))
        same_kind = torch.full_like(label, relabelled) if isinstance(label, torch.Tensor) else relabelled
        return poison.in_raw(sample[None])[0], same_kind
