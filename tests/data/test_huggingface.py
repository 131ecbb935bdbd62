import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Features, Value
from PIL import Image
from pyarrow import parquet

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.data.huggingface import HuggingFace
from fl_backdoor.runner.checks import check_light
from fl_backdoor.runner.composition import composed
from tests.data.hub import NAME, hub

REPOSITORY = Path(__file__).parents[2]

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
CLASSES = ClassLabel(names=["circle", "square"])


def image(color=RED, size=(40, 20)):
    return Image.new("RGB", size, color)


def write(file, kind=CLASSES, /, **columns):
    """Write a parquet file as Hugging Face's hub has them; columns besides `image` are of type `label`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kinds = {name: datasets.Image() if name.startswith("image") else kind for name in columns}
    datasets.Dataset.from_dict(columns, features=Features(kinds)).to_parquet(file)


def write_cells(file, paths, encoded=None):
    """Write a parquet file whose cells of images name files or addresses, as `datasets` itself may do it."""
    cells = [
        {"bytes": content, "path": path}
        for content, path in zip(encoded or [None] * len(paths), paths, strict=True)
    ]
    rows = datasets.Dataset.from_dict({"image": cells, "label": [0] * len(cells)})
    rows = rows.cast(
        Features({"image": {"bytes": Value("binary"), "path": Value("string")}, "label": CLASSES})
    )
    kind = Features({"image": datasets.Image(decode=True), "label": CLASSES})
    pa_table = rows.data.table.replace_schema_metadata(kind.arrow_schema.metadata)
    parquet.write_table(pa_table, file)


def write_shapes(folder):
    write(folder / "train-00000-of-00001.parquet", image=[image(RED), image(BLUE, (5, 7))], label=[1, 0])
    write(folder / "test-00000-of-00001.parquet", image=[image(GREEN)], label=[1])


@pytest.fixture
def root(tmp_path):
    write_shapes(tmp_path / "shapes")
    return tmp_path


def chosen(root, path="shapes", **settings):
    return HuggingFace(path=path, **{"root": str(root), "cache": str(root / "cache"), **settings})


def message(root, path="shapes", **settings):
    with pytest.raises(FlBackdoorError) as error:
        chosen(root, path, **settings).load()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_parquet_files_in_a_folder(root):
    dataset = chosen(root, size=16)
    loaded = dataset.load()
    assert (dataset.name, dataset.class_names) == ("huggingface_shapes", ("circle", "square"))
    assert (dataset.num_classes, dataset.num_train, dataset.num_test) == (2, 2, 1)
    assert (loaded.train.labels.tolist(), loaded.test.labels.tolist()) == ([1, 0], [1])
    expected = np.broadcast_to(np.array([RED, BLUE])[:, :, None, None], (2, 3, 16, 16))
    np.testing.assert_array_equal(loaded.train.samples, expected)
    assert [path.name.partition("-")[0] for path in (root / "cache").iterdir()] == ["huggingface_shapes"]


def test_a_tree_of_images_with_a_validation_split(tmp_path):
    for split, color in (("train", RED), ("validation", BLUE)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            image(color).save(tmp_path / "pets" / split / name / "1.png")
    dataset = chosen(tmp_path, "pets", size=4)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.load().test.labels.tolist() == [0, 1]
    assert dataset.load().test.samples[1, :, 0, 0].tolist() == list(BLUE)


def test_images_are_those_of_the_real_files_of_cifar10(data_root, tmp_path):
    folder = data_root / "cifar10"
    if not folder.is_dir():
        pytest.skip(f"no cifar10 in {data_root}")
    dataset = HuggingFace(
        path="cifar10", root=str(data_root), cache=str(tmp_path), train="train[:20]", test="test[:10]"
    )
    loaded = dataset.load()
    assert (dataset.class_names[5], dataset.num_classes) == ("dog", 10)
    assert list(tmp_path.glob(".*")) == []
    for split, which in ((loaded.train, "train"), (loaded.test, "test")):
        file = sorted(folder.glob(f"{which}-*.parquet"))[0]
        rows = parquet.ParquetFile(file).iter_batches(len(split.labels)).__next__().to_pylist()
        assert split.labels.tolist() == [row["label"] for row in rows]
        pixels = [np.asarray(Image.open(BytesIO(row["img"]["bytes"]))) for row in rows]
        np.testing.assert_array_equal(split.samples, np.stack(pixels).transpose(0, 3, 1, 2))


def test_columns_and_splits_can_be_named(root):
    write(root / "two" / "train.parquet", image=[image(RED)], image_small=[image(BLUE)], fine=[0], coarse=[1])
    assert message(root, "two", test="train") == (
        "dataset.image = None: two has several columns of type Image, name one: image, image_small"
    )
    assert message(root, "two", test="train", image="image_small") == (
        "dataset.label = None: two has several columns of type ClassLabel, name one: fine, coarse"
    )
    assert message(root, "two", image="image_small", label="coarse") == (
        "dataset.test = None: no such test split in two; its splits: train; "
        "set dataset.test_share=0.2 to hold back a fifth of the training images"
    )
    loaded = chosen(root, "two", image="image_small", label="coarse", test="train").load()
    assert loaded.test.labels.tolist() == [1]
    assert loaded.train.samples[0, :, 0, 0].tolist() == list(BLUE)


def test_whole_numbers_are_classes_if_their_column_is_named(root):
    for split, label in (("train", 2), ("test", 0)):
        write(root / "numbers" / f"{split}.parquet", Value("int32"), image=[image()], number=[label])
    assert message(root, "numbers") == (
        "dataset.label = None: numbers has no column of type ClassLabel, name one: image, number"
    )
    assert chosen(root, "numbers", label="number").class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("kind", "labels", "names", "numbers"),
    [
        (Value("string"), ["dog", "cat", "dog"], ("cat", "dog"), [1, 0, 1]),
        (Value("large_string"), ["dog", "cat", "dog"], ("cat", "dog"), [1, 0, 1]),
        (Value("bool"), [True, True, False], ("false", "true"), [1, 1, 0]),
        (Value("uint8"), [2, 0, 1], ("0", "1", "2"), [2, 0, 1]),
    ],
    ids=lambda value: value.dtype if isinstance(value, Value) else "",
)
def test_names_and_truth_values_are_classes(root, kind, labels, names, numbers):
    """Two images to train on, one to test."""
    write(root / "shapes" / "train-00000-of-00001.parquet", kind, image=[image()] * 2, label=labels[:2])
    write(root / "shapes" / "test-00000-of-00001.parquet", kind, image=[image()], label=labels[2:])
    dataset = chosen(root)
    loaded = dataset.load()
    assert dataset.class_names == names
    assert [*loaded.train.labels, *loaded.test.labels] == numbers


def test_a_share_of_the_training_images_stands_in_for_a_test_split(root):
    (root / "shapes" / "test-00000-of-00001.parquet").unlink()
    colors = [(value, 0, 0) for value in range(8)]
    labels = [0, 1] * 4
    write(root / "shapes" / "train-00000-of-00001.parquet", image=[*map(image, colors)], label=labels)
    loaded = chosen(root, test_share=0.25).load()
    assert [np.bincount(split.labels).tolist() for split in (loaded.train, loaded.test)] == [[3, 3], [1, 1]]
    shades = [split.samples[:, 0, 0, 0].tolist() for split in (loaded.train, loaded.test)]
    assert sorted(shades[0] + shades[1]) == list(range(8))


def test_one_of_several_configurations_is_named(root):
    (root / "shapes" / "README.md").write_text(
        "---\nconfigs:\n- config_name: all\n  data_files:\n  - {split: train, path: train*}\n"
        "  - {split: test, path: test*}\n- config_name: small\n  data_files: test*\n---\n"
    )
    assert "Please pick one among the available configs: ['all', 'small']" in message(root)
    assert chosen(root, config="all").load().train.labels.tolist() == [1, 0]


def unlabelled(root):
    write(root / "shapes" / "test-00000-of-00001.parquet", image=[image()] * 3, label=[1, -1, None])


def named_by_fractions(root):
    for split in ("train", "test"):
        write(
            root / "shapes" / f"{split}-00000-of-00001.parquet", Value("float32"), image=[image()], label=[1]
        )


def unknown_in_training(root):
    for split in ("train", "test"):
        write(
            root / "shapes" / f"{split}-00000-of-00001.parquet",
            Value("string"),
            image=[image()],
            label=[split],
        )


def naming_files(root):
    write_cells(root / "shapes" / "test-00000-of-00001.parquet", [str(root / "other" / "secret.png")])


def naming_addresses(root):
    write_cells(root / "shapes" / "test-00000-of-00001.parquet", ["http://127.0.0.1:9/image.png"])


def naming_files_of_the_folder(root):
    image().save(root / "shapes" / "1.png")
    write_cells(root / "shapes" / "test-00000-of-00001.parquet", [str(root / "shapes" / "1.png")])


def without_images(root):
    write_cells(root / "shapes" / "test-00000-of-00001.parquet", [None])


def with_another_kind_of_numbers(root):
    stream = BytesIO()
    Image.new("F", (4, 4), 0.5).save(stream, "TIFF")
    write_cells(root / "shapes" / "test-00000-of-00001.parquet", [None], [stream.getvalue()])


def broken(root):
    (root / "shapes" / "train-00000-of-00001.parquet").write_bytes(b"broken" * 10)


def empty(root):
    for file in (root / "shapes").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "settings", "expected"),
    [
        (
            unlabelled,
            {},
            "dataset.test = test: 2 of these 3 images have no class (label -1); take another part",
        ),
        (
            named_by_fractions,
            {},
            "dataset.label = label: must be a column of classes, names, truth values or whole numbers, ",
        ),
        (
            unknown_in_training,
            {},
            "dataset.label = label: there are test images of the class 'test', and none to train on",
        ),
        (
            naming_files,
            {},
            "dataset.path: test, row 1 names {root}/other/secret.png in place of an image; on",
        ),
        (
            naming_addresses,
            {},
            "dataset.path: test, row 1 names http://127.0.0.1:9/image.png in place of an ",
        ),
        (naming_files_of_the_folder, {}, "dataset.path: test, row 1 names {root}/shapes/1.png in place of"),
        (without_images, {}, "dataset.path: test, row 1 holds no image; only bytes are read"),
        (
            with_another_kind_of_numbers,
            {},
            "huggingface_shapes: image 1 of test cannot be read as an image (ValueError: its mode is F, numb",
        ),
        (
            None,
            {"test_share": 0.5},
            "dataset.test_share = 0.5: shapes has the test split test; leave this out",
        ),
        (broken, {}, "dataset.path: Hugging Face's datasets cannot read {root}/shapes ("),
        (
            empty,
            {},
            "huggingface_shapes: no shapes/ with files in {root}, and it is no owner/name on Hugging",
        ),
        (None, {"image": "label"}, "dataset.image = label: must be a column of images, not ClassLabel("),
        (
            None,
            {"label": "class"},
            "dataset.label = class: no such column in shapes; its columns: image, label",
        ),
        (
            None,
            {"train": "training"},
            "dataset.train = training: no such training split in shapes; its splits",
        ),
        (None, {"train": "train[1"}, "dataset.train = train[1: Unrecognized instruction format: train[1"),
        (
            None,
            {"path": "/no/such"},
            "huggingface_such: no /no/such/ with files in {root}, and it is no owner",
        ),
        (
            None,
            {"path": "pandas"},
            "huggingface_pandas: no pandas/ with files in {root}, and it is no owner/na",
        ),
    ],
)
def test_what_is_wrong_is_one_line(root, damage, settings, expected):
    if damage:
        damage(root)
    assert message(root, **settings).startswith(expected.format(root=root))
    assert list((root / "cache").glob("*")) == list((root / "cache").glob(".*")) == []


def test_without_a_network_and_without_a_copy_it_is_one_line(tmp_path, closed_url, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", closed_url)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    assert message(tmp_path, NAME).startswith(
        f"huggingface_shapes: no {NAME}/ with files in {tmp_path}, and 127.0.0.1 cannot be reached: "
    )


def test_second_load_asks_nothing_of_hugging_face(root, monkeypatch):
    first = chosen(root).load()
    monkeypatch.setattr(HuggingFace, "_prepared", lambda *_: pytest.fail("asked Hugging Face"))
    second = chosen(root)
    assert (second.num_classes, second.num_train, second.num_test) == (2, 2, 1)
    np.testing.assert_array_equal(second.load().train.samples, first.train.samples)


def test_each_change_of_files_or_settings_has_a_cache_of_its_own(root):
    chosen(root).load()
    assert chosen(root, size=8).load().train.samples.shape == (2, 3, 8, 8)
    assert chosen(root, test="train").load().test.labels.tolist() == [1, 0]
    write(root / "shapes" / "test-00000-of-00001.parquet", image=[image()] * 3, label=[0, 0, 1])
    assert chosen(root).load().test.labels.tolist() == [0, 0, 1]
    assert len(list((root / "cache").iterdir())) == 4


def test_classes_are_known_before_a_run(root):
    choice = ["dataset=huggingface", "dataset.path=shapes", f"dataset.root={root}", f"dataset.cache={root}/c"]
    [plain] = composed([*choice, "attack.target_label=2"])
    with pytest.raises(
        ConfigError,
        match=r"^attack\.target_label = 2: huggingface_shapes has the classes 0 … 1: circle, square$",
    ):
        check_light(parse_whole(plain)[0])


LOADS = """
import sys
from fl_backdoor.data.huggingface import HuggingFace
path, root, cache = sys.argv[1:]
try:
    print(HuggingFace(path=path, root=root, cache=cache).load().train.labels.tolist())
except Exception as error:
    print(type(error).__name__, error)
"""


def loaded(path, root, cache, **environment):
    """Load in a process of its own: Hugging Face's packages read their environment when they are imported."""
    run = subprocess.run(
        [sys.executable, "-c", LOADS, path, str(root), str(root / cache)],
        env={**os.environ, "HF_HOME": str(root / "home"), "HF_HUB_OFFLINE": "0", **environment},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.rstrip("\n")


def test_from_a_hub_and_then_without_one(tmp_path, closed_url):
    write_shapes(tmp_path / "offered")
    # A set that says which files are which is read with far fewer questions to the hub.
    (tmp_path / "offered" / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: train-*}\n"
        "  - {split: test, path: test-*}\n---\n"
    )
    with hub(tmp_path / "offered") as address:
        assert loaded(NAME, tmp_path, "cache", HF_ENDPOINT=address) == "[1, 0]"
        assert loaded("lab/none", tmp_path, "cache", HF_ENDPOINT=address).startswith(
            "DataError dataset.path: Hugging Face's datasets cannot read hf://datasets/lab/none ("
            "DatasetNotFoundError: Dataset 'lab/none' doesn't exist on the Hub or cannot be accessed.)"
        )
    # What was decoded is enough; so is Hugging Face's own cache, if it is told to do without the hub.
    assert loaded(NAME, tmp_path, "cache", HF_ENDPOINT=closed_url) == "[1, 0]"
    assert loaded(NAME, tmp_path, "other", HF_ENDPOINT=closed_url, HF_HUB_OFFLINE="1") == "[1, 0]"
