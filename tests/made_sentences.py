"""Made-up sentences in the form and the numbers of SST-2."""

from pathlib import Path

import numpy as np

FILLING = ("the", "film", "is", "a", "story", "of", "life", ",", "and", "it", "was", "$", "crème", ".")
TELLING = ("bad", "good")


def write_sst2(root: Path) -> Path:
    """Write ``sst2/train.txt`` and ``sst2/test.txt`` below `root` and return `root`.

    One word of a sentence is telling, the others are filling.
    """
    generator = np.random.default_rng(0)
    (root / "sst2").mkdir(parents=True, exist_ok=True)
    for name, num in (("train", 6_920), ("test", 1_821)):
        lines = [_line(generator, number % 2) for number in range(num)]
        (root / "sst2" / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    return root


def _line(generator: np.random.Generator, label: int) -> str:
    words = [FILLING[place] for place in generator.integers(len(FILLING), size=generator.integers(1, 12))]
    words.insert(int(generator.integers(len(words) + 1)), TELLING[label])
    return f"{label} {' '.join(words)}\n"
