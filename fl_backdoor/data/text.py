"""What every data set of sentences is."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.data.dataset import LabelledDataset, Split
from fl_backdoor.data.encoding import Encoding

if TYPE_CHECKING:
    import torch

    from fl_backdoor.data.samples import Samples


class TextDataset(LabelledDataset):
    """Base of the data sets of sentences; their words are the array ``words`` of `Dataset.extra`.

    Notes
    -----
    An attribute besides those of `LabelledDataset`: `num_tokens`, the length of every encoded sentence.
    """

    kind = "sentences"
    goes_with: ClassVar = {
        "model": "model=embedding",
        "attack.trigger": "attack/trigger=word",
        "augmentation": "augmentation=none",
    }
    instead = ""
    sample_type = np.int32

    num_tokens: int

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Number of tokens."""
        return (self.num_tokens,)

    @cached_property
    def encoding(self) -> Encoding:
        """How sentences became numbers; raises DataError like `load`."""
        return Encoding(as_words(self.load().extra["words"]), self.num_tokens)

    def described(self) -> dict[str, Any]:
        """Return how sentences became numbers."""
        return {"encoding": self.encoding}

    def in_words(self) -> str:
        """Return how many words a sentence may have, and which ones there are."""
        words = hashlib.sha256(json.dumps(self.encoding.words).encode()).hexdigest()[:8]
        return f"{self.num_tokens} words out of {len(self.encoding.words)}, {words}"

    def on_device(self, split: Split, device: "torch.device") -> "Samples":
        """Put sentences on a device."""
        from fl_backdoor.data.samples import sentences_on_device

        return sentences_on_device(split.samples, split.labels, device)

    def draw(
        self,
        path: Path,
        clean: NDArray[np.int32],
        triggered: NDArray[np.int32],
        true_names: Sequence[str],
        target_name: str,
    ) -> None:
        """Draw sentences, as text."""
        from fl_backdoor.runs.figures import draw_sentences

        before, after = ([self.encoding.decode(row) for row in rows] for rows in (clean, triggered))
        draw_sentences(path, before, after, true_names, target_name)


def as_array(words: Sequence[str]) -> NDArray[np.uint8]:
    """Return words without line breaks as the array ``words`` of a `TextDataset`: UTF-8, a line each."""
    return np.frombuffer("\n".join(words).encode(), dtype=np.uint8)


def as_words(array: NDArray[np.uint8]) -> tuple[str, ...]:
    """Return what `as_array` was given."""
    return tuple(array.tobytes().decode().split("\n"))
