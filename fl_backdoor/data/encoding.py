"""How sentences become numbers: each known word has one, and all sentences are of the same length."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

PADDING, UNKNOWN = 0, 1
"""Numbers of what fills a sentence up at its end, and of every word that has no number of its own."""

FIRST = 2
"""The number of the first word."""

RARE = ("cf", "mn", "bb", "tq", "mb")
"""Words that every encoding holds although sentences lack them, as large vocabularies do: triggers."""

Tokens = NDArray[np.int32]
"""Numbers of the words of a sentence, int32 ``(num_tokens,)``, or of several, ``(n, num_tokens)``."""


@dataclass(frozen=True)
class Encoding:
    """Words, and how many of them a sentence has.

    Parameters
    ----------
    words
        Each once; the number of ``words[i]`` is ``i + 2``.
    num_tokens
        Length of every encoded sentence: shorter ones are padded, longer ones are cut off.
    """

    words: tuple[str, ...]
    num_tokens: int

    @property
    def num_ids(self) -> int:
        """How many numbers there are, those of padding and unknown words among them."""
        return FIRST + len(self.words)

    def id_of(self, word: str) -> int:
        """Return the number of `word`, that of unknown words if it has none."""
        return self._ids.get(word, UNKNOWN)

    def encode(self, sentences: Sequence[Sequence[str]]) -> Tokens:
        """Return the numbers of the words of each sentence, int32 ``(n, num_tokens)``."""
        encoded = np.full((len(sentences), self.num_tokens), PADDING, dtype=np.int32)
        for row, words in zip(encoded, sentences, strict=True):
            known = [self.id_of(word) for word in words[: self.num_tokens]]
            row[: len(known)] = known
        return encoded

    def decode(self, tokens: Tokens) -> str:
        """Return one encoded sentence as text, words without a number as ``[?]``."""
        shown = {UNKNOWN: "[?]"}
        numbers = (int(number) for number in tokens if number != PADDING)
        return " ".join(shown.get(number) or self.words[number - FIRST] for number in numbers)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, FIRST)}


def frequent_words(
    sentences: Iterable[Sequence[str]], min_count: int, most: int | None = None
) -> tuple[str, ...]:
    """Return `RARE` and the words that occur `min_count` times or more, the most frequent first.

    Words of the same frequency are sorted by themselves. `most`: so many of them at most, beside `RARE`.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    often = [word for word, count in counts.items() if count >= min_count and word not in RARE]
    return (*RARE, *sorted(often, key=lambda word: (-counts[word], word))[:most])
