"""Small data sets in the form of published archives, as they unpack."""

from pathlib import Path

import numpy as np
from PIL import Image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def write_image(file: Path, color: object = RED, size: tuple[int, int] = (40, 20), mode: str = "RGB") -> None:
    """Write an image of one colour."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(file)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Return pixels that say nothing."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_gtsrb(root: Path, per_class: int = 0) -> None:
    """Three signs to train on and two to test, as the zip archives of GTSRB unpack; or more of them."""
    tree = root / "gtsrb"
    training, testing = tree / "GTSRB" / "Training", tree / "GTSRB" / "Final_Test" / "Images"
    write_image(training / "00000" / "00000_00000.ppm", RED)
    write_image(training / "00000" / "00000_00001.ppm", BLUE, (5, 7))
    write_image(training / "00001" / "00001_00000.ppm", GREEN, (30, 30))
    for label, color in enumerate((RED, GREEN)):
        for row in range(per_class):
            write_image(training / f"{label:05}" / f"{label:05}_1{row:04}.ppm", color, (9, 8))
    for number, color in enumerate((GREEN, RED)):
        write_image(testing / f"0000{number}.ppm", color, (9, 8))
    rows = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    (tree / "GT-final_test.csv").write_text(f"{rows}00000.ppm;9;8;1;1;8;7;1\n00001.ppm;9;8;1;1;8;7;0\n")


def write_svhn(root: Path, count: int = 4) -> np.ndarray:
    """Write the two files of SVHN's format 2; its digit 0 is the class 10. Return the training images."""
    from scipy.io import savemat

    (root / "SVHN").mkdir(parents=True, exist_ok=True)
    images = noise(32, 32, 3, count)
    labels = np.resize(np.array([[10], [1], [9], [5]], np.uint8), (count, 1))
    for name, rows in (("train", slice(None)), ("test", slice(2))):
        savemat(root / "SVHN" / f"{name}_32x32.mat", {"X": images[..., rows], "y": labels[rows]})
    return images.transpose(3, 2, 0, 1)


def idx(array: np.ndarray) -> bytes:
    """The IDX format: two zeros, the type (8: uint8), the number of dimensions, each of them, bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_emnist(root: Path, split: str, labels: list[int]) -> np.ndarray:
    """Write the extracted files of a set of EMNIST, half as many images to test; return those to train on.

    The files hold columns in the place of rows.
    """
    folder = root / "EMNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    images = noise(len(labels), 28, 28)
    for name, rows in (("train", slice(None)), ("test", slice(len(labels) // 2))):
        for what, array in (("images-idx3", images[rows]), ("labels-idx1", np.array(labels)[rows])):
            (folder / f"emnist-{split}-{name}-{what}-ubyte").write_bytes(idx(array))
    return images.transpose(0, 2, 1)


def write_cinic10(root: Path, classes: tuple[str, ...] = ("cat", "dog")) -> None:
    """An image of each class in each of the three parts."""
    for part, shade in (("train", 10), ("valid", 20), ("test", 30)):
        for label, name in enumerate(classes):
            write_image(root / "CINIC-10" / part / name / "n1_1.png", (shade, label, 0), (32, 32))


def write_tiny_imagenet(root: Path, per_class: int = 2) -> Path:
    """Two classes as the archive unpacks, one validation image of each; return the folder."""
    tree = root / "tiny-imagenet-200"
    for wnid, color in (("n02124075", GREEN), ("n01443537", RED)):
        for row in range(per_class):
            write_image(tree / "train" / wnid / "images" / f"{wnid}_{row}.JPEG", color, (64, 64))
        (tree / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t9\t9\n")
    write_image(tree / "val" / "images" / "val_0.JPEG", GREEN, (64, 64))
    write_image(tree / "val" / "images" / "val_1.JPEG", 128, (64, 64), "L")
    (tree / "val" / "val_annotations.txt").write_text(
        "val_1.JPEG\tn01443537\t0\t0\t9\t9\nval_0.JPEG\tn02124075\t0\t0\t9\t9\n"
    )
    write_image(tree / "test" / "images" / "test_0.JPEG", BLUE, (64, 64))
    (tree / "wnids.txt").write_text("n02124075\nn01443537\n")
    (tree / "words.txt").write_text(
        "n00001740\tentity\nn01443537\tgoldfish, Carassius auratus\nn02124075\tEgyptian cat\n"
    )
    return tree


def write_femnist(root: Path, writers: dict[str, int], path: str = "flwrlabs/femnist") -> None:
    """Write a parquet file like those of ``flwrlabs/femnist``: so many characters of each writer, by turns.

    All pixels of an image are the place of its writer among the others; the characters are 0, 1, A by turns.
    """
    import datasets

    names = [*map(str, range(10)), *map(chr, range(65, 91)), *map(chr, range(97, 123))]
    kinds = datasets.Features(
        {
            "image": datasets.Image(),
            "writer_id": datasets.Value("string"),
            "hsf_id": datasets.Value("int64"),
            "character": datasets.ClassLabel(names=names),
        }
    )
    turns = range(max(writers.values()))
    rows = [(name, turn) for turn in turns for name, count in writers.items() if turn < count]
    images = [Image.new("L", (28, 28), list(writers).index(name)) for name, _ in rows]
    table = {
        "image": images,
        "writer_id": [name for name, _ in rows],
        "hsf_id": [turn % 2 for _, turn in rows],
        "character": [(0, 1, 10)[turn % 3] for _, turn in rows],
    }
    folder = root / path / "data"
    folder.mkdir(parents=True)
    datasets.Dataset.from_dict(table, features=kinds).to_parquet(str(folder / "train-00000-of-00001.parquet"))


NEWS = {"1": "war", "2": "match", "3": "shares", "4": "chip"}
"""A telling word of each of AG News' classes."""


def write_ag_news(root: Path, per_class: int = 3) -> Path:
    """Write AG News' two CSV files, quoted and without names; one text of each class to test."""
    folder = root / "ag_news_csv"
    folder.mkdir(parents=True)
    for name, count in (("train", per_class), ("test", 1)):
        lines = [
            f'"{label}","Of the {word}","It is said, ""the {word}"" &lt;b&gt;goes&lt;/b&gt; on"\n'
            for _ in range(count)
            for label, word in NEWS.items()
        ]
        (folder / f"{name}.csv").write_text("".join(lines), encoding="utf-8")
    return folder


def write_sentiment140(root: Path, users: dict[str, int]) -> Path:
    """Write Sentiment140's two CSV files in latin-1: so many tweets of each user.

    They are negative and positive by turns, and say who wrote them; of the test tweets one is neutral.
    """
    folder = root / "sentiment140"
    folder.mkdir(parents=True)
    tweets = [(user, turn) for user, count in users.items() for turn in range(count)]
    lines = [
        f'"{4 * (turn % 2)}","9","Mon","NO_QUERY","{user}","@{user} caf\xe9 {("bad", "good")[turn % 2]}"\n'
        for user, turn in tweets
    ]
    train = folder / "training.1600000.processed.noemoticon.csv"
    train.write_text("".join(lines), encoding="latin-1")
    test = [f'"{polarity}","9","Mon","x","z","so {polarity}"\n' for polarity in (4, 2, 0)]
    (folder / "testdata.manual.2009.06.14.csv").write_text("".join(test), encoding="latin-1")
    return folder


def write_imdb(root: Path) -> Path:
    """Write parquet files like those of ``stanfordnlp/imdb``; some reviews have no class."""
    import pyarrow as pa
    from pyarrow import parquet

    folder = root / "stanfordnlp" / "imdb" / "plain_text"
    folder.mkdir(parents=True)
    for name, labels in (("train", [0, 1, 0, 1]), ("test", [1, 0]), ("unsupervised", [-1])):
        texts = [f"A {('bad', 'good', 'lost')[label]} film.<br /><br />Isn't it?" for label in labels]
        table = pa.table({"text": texts, "label": labels})
        parquet.write_table(table, folder / f"{name}-00000-of-00001.parquet")
    return folder
