"""A word or a phrase in a sentence.

A rare word: K. Kurita, P. Michel, G. Neubig, Weight Poisoning Attacks on Pre-trained Models, ACL 2020,
https://arxiv.org/abs/2004.06660, section 4 ("cf", "mn", "bb", "tq", "mb"). A phrase: J. Dai, C. Chen, Y. Li,
A Backdoor Attack Against LSTM-Based Text Classification Systems, IEEE Access 7, 2019,
https://arxiv.org/abs/1905.12457 ("I watched this 3D movie").

Deviations: one place in all sentences, or one that follows from the sentence; the papers draw places. The
same words in training and in the test, once; the authors' code (neulab/RIPPLe) draws from the five, and
inserts three in training and one in the test on SST-2, more in longer texts.
"""

from typing import Literal

import torch

from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.encoding import PADDING, RARE, UNKNOWN, Encoding

Place = Literal["start", "end", "anywhere"]


class Word(Trigger):
    """Words that are inserted; the end of a sentence that is too long then is cut off, never the trigger.

    Parameters
    ----------
    encoding
        How sentences became numbers.
    words
        One or more, with spaces between them.
    place
        Where they are inserted: in front of the first word of the sentence, behind the last, or between any
        two, always the same for the same sentence.

    Raises
    ------
    ConfigError
        If there is no word, one that has no number, or more than a sentence may have.
    """

    inserted: torch.Tensor

    def __init__(self, encoding: Encoding, *, words: str = "cf", place: Place = "start") -> None:
        super().__init__()
        numbers = [encoding.id_of(word) for word in words.split()]
        _check(words, numbers, encoding)
        self.register_buffer("inserted", torch.tensor(numbers, dtype=torch.int32))
        self.place = place

    def stamp(self, samples: torch.Tensor) -> torch.Tensor:
        """Return copies of sentences, int32 ``(n, num_tokens)``, with the words in them."""
        size = len(self.inserted)
        begin = self._begin(samples, samples.shape[1] - size)
        column = torch.arange(samples.shape[1], device=samples.device).expand_as(samples)
        moved = samples.gather(1, torch.where(column < begin, column, column - size).clamp(min=0))
        inserted = self.inserted[(column - begin).clamp(0, size - 1)]
        return torch.where((begin <= column) & (column < begin + size), inserted, moved)

    def _begin(self, sentences: torch.Tensor, last: int) -> torch.Tensor:
        """Return the place of the first inserted word in each sentence, int64 ``(n, 1)``, at most `last`."""
        lengths = (sentences != PADDING).sum(dim=1, keepdim=True)
        places = {
            "start": torch.zeros_like(lengths),
            "end": lengths,
            # As good as drawn, and the same in each batch and on each machine.
            "anywhere": sentences.sum(dim=1, keepdim=True) % (lengths + 1),
        }
        return places[self.place].clamp(max=last)


def _check(words: str, numbers: list[int], encoding: Encoding) -> None:
    if not 0 < len(numbers) <= encoding.num_tokens:
        raise ConfigError("attack.trigger.words", words, f"must be 1 to {encoding.num_tokens} words")
    if UNKNOWN in numbers:
        unknown = words.split()[numbers.index(UNKNOWN)]
        raise ConfigError(
            "attack.trigger.words",
            words,
            f"{unknown!r} is not in the vocabulary; take words of the training sentences, which are in lower "
            f"case, or {', '.join(RARE)}, which it always holds",
        )
