"""SST-2: sentences from film reviews; 6,920 to train, 1,821 to test, half of them positive.

Sentences are int32 ``(64,)``, the numbers of their words (see `fl_backdoor.data.encoding`), padded at the
end: the longest has 56. Labels are int64, 0 negative, 1 positive. The words are those that occur at least
twice in the training sentences; a word that occurs once has nothing to teach, and what it is replaced by
has then been trained on when a test sentence needs it.

They are read from ``train.txt`` and ``test.txt`` in `root` or ``root/sst2``: a ``label sentence`` a line,
UTF-8, lower case, words and punctuation apart by spaces. The 872 sentences for tuning, ``dev.txt``, are left
out: nothing is tuned while a run goes on.

Source: https://nlp.stanford.edu/sentiment/
Cite: R. Socher et al., "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank",
EMNLP 2013.
"""

from pathlib import Path

import numpy as np

from fl_backdoor.data.dataset import Dataset, Source, Split
from fl_backdoor.data.encoding import Encoding, frequent_words
from fl_backdoor.data.text import TextDataset, as_array

TRAIN, TEST = "train.txt", "test.txt"
MIN_COUNT = 2

PUBLISHED = "b7eade3f671def95"
"""Fingerprint of the 6,920 and 1,821 sentences in the form that most people have."""

Lines = list[tuple[int, list[str]]]
"""Label and words of each sentence."""


class Sst2(TextDataset):
    """SST-2; see the module and `TextDataset`. `download` has no effect."""

    name = "sst2"
    num_classes = 2
    class_names = ("negative", "positive")
    num_tokens = 64
    num_train = 6_920
    num_test = 1_821
    wanted = f"{TRAIN} and {TEST}, a `label sentence` a line,"
    published = frozenset({PUBLISHED})

    def locate(self) -> Source | None:
        """Return those of the two files that are there."""
        for base in (self.root / self.name, self.root):
            present = tuple(file for file in (base / TRAIN, base / TEST) if file.is_file())
            if present:
                return Source(base, present)
        return None

    def decode(self, source: Source) -> Dataset:
        """Return the sentences as numbers, and their words."""
        train, test = (_read(source.folder / name) for name in (TRAIN, TEST))
        words = frequent_words((sentence for _, sentence in train), MIN_COUNT)
        encoding = Encoding(words, self.num_tokens)
        return Dataset(_split(train, encoding), _split(test, encoding), {"words": as_array(words)})


def _read(file: Path) -> Lines:
    lines = file.read_text(encoding="utf-8").split("\n")
    return [_sentence(file, number, line) for number, line in enumerate(lines, 1) if line]


def _sentence(file: Path, number: int, line: str) -> tuple[int, list[str]]:
    label, _, sentence = line.partition(" ")
    words = [word for word in sentence.split(" ") if word]
    if label not in ("0", "1") or not words:
        raise ValueError(f"{file.name}, line {number}: not 0 or 1 and a sentence")
    return int(label), words


def _split(lines: Lines, encoding: Encoding) -> Split:
    labels = np.array([label for label, _ in lines], dtype=np.int64)
    return Split(encoding.encode([words for _, words in lines]), labels)
