import numpy as np
import pytest

from fl_backdoor.config.schema import PartitionConfig
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.mnist5k import Mnist5k
from fl_backdoor.data.natural_ids import kept
from fl_backdoor.data.partition import partition, unowned
from fl_backdoor.data.partitioners.natural import by_id
from fl_backdoor.testing import check_dataset
from tests.data.test_presets import preset
from tests.made_archives import write_femnist

IDS = np.array([7, 7, 3, 9, 3, 7, 5, 9, 3, 3])
"""Three samples of 7, four of 3, two of 9, one of 5."""

WRITERS = {"f0000_14": 30, "f0001_41": 20, "f0002_07": 10, "f0003_42": 4}


def dealt(num_clients, grouped, min_samples=1, seed=0):
    random = np.random.default_rng(seed)
    parts = by_id(IDS, num_clients, random, grouped=grouped, min_samples=min_samples)
    return [part.tolist() for part in parts]


def test_as_many_clients_as_ids_have_one_each():
    each = [[0, 1, 5], [2, 4, 8, 9], [3, 7], [6]]
    for grouped in (True, False):
        assert sorted(dealt(4, grouped)) == each
    assert {tuple(map(tuple, dealt(4, True, seed=seed))) for seed in range(5)} != {tuple(map(tuple, each))}


def test_with_fewer_clients_each_has_several_or_one():
    ids = [[set(IDS[part].tolist()) for part in dealt(3, grouped)] for grouped in (True, False)]
    assert sorted(map(len, ids[0])) == [1, 1, 2], "as many to each, give or take one"
    assert set.union(*ids[0]) == {3, 5, 7, 9}
    assert [len(one) for one in ids[1]] == [1, 1, 1]
    for grouped in (True, False):
        parts = dealt(3, grouped)
        for part in parts:
            owned = set(IDS[part].tolist())
            assert part == [row for row in range(10) if IDS[row] in owned], "all samples of an id"


def test_ids_with_few_samples_are_nobodys():
    assert sorted(dealt(2, True, min_samples=3)) == [[0, 1, 5], [2, 4, 8, 9]]
    with pytest.raises(ValueError, match=r"^2 of 4 ids have at least 3 training samples$"):
        dealt(3, True, min_samples=3)


def config(num_clients, column="user", target="fl_backdoor.data.partitioners.natural.NaturalIds", **settings):
    return PartitionConfig(num_clients, {"_target_": target, **settings}, column)


def planned(cache, config, seed=0, labels=IDS % 2, ids=IDS):
    return [part.tolist() for part in partition(labels, config, seed, cache, ids)]


def test_a_plan_goes_by_ids_and_is_kept(tmp_path):
    plan = planned(tmp_path, config(4))
    assert sorted(plan) == [[0, 1, 5], [2, 4, 8, 9], [3, 7], [6]]
    assert planned(tmp_path, config(4)) == plan
    assert len(list(tmp_path.iterdir())) == 1
    assert sorted(planned(tmp_path, config(2), ids=np.arange(10) % 2)) == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert planned(tmp_path, config(4), seed=1) != plan


def test_samples_that_are_nobodys_are_said_to_be(tmp_path):
    plan = partition(IDS % 2, config(2, more_ids="draw", min_samples=3), 0, tmp_path, IDS)
    assert unowned(np.array([0] * 10), plan, 0) == "partition: 3 of 10 training samples belong to no client"


def test_partitioners_of_flowers_see_the_column(tmp_path):
    flower = "flwr_datasets.partitioner.NaturalIdPartitioner"
    assert planned(tmp_path, config(4, target=flower, partition_by="user")) == [
        [2, 4, 8, 9],
        [6],
        [0, 1, 5],
        [3, 7],
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            config(5),
            "partition.num_clients = 5: must be at most the number of ids in user: "
            "4 of 4 ids have at least 1 training samples",
        ),
        (config(4, column="label"), "partition.column = label: must not be one of label, index"),
        (
            config(4, more_ids="all"),
            "partition.partitioner.more_ids = all: must be 'group' or 'draw'",
        ),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, asked, expected):
    with pytest.raises(ConfigError) as error:
        planned(tmp_path, asked)
    assert str(error.value) == expected


def test_without_a_column_it_is_asked_for(tmp_path):
    with pytest.raises(ConfigError) as error:
        partition(IDS, config(4, column=None), 0, tmp_path)
    assert str(error.value) == "partition.column = None: must name the data set's column of natural ids"


def test_femnist_has_writers(tmp_path):
    write_femnist(tmp_path, WRITERS)
    check_dataset(lambda cache: preset("femnist", tmp_path, cache), tmp_path / "empty")
    dataset = preset("femnist", tmp_path)
    loaded, ids = dataset.load(), dataset.natural_ids("writer_id")
    assert (dataset.num_classes, dataset.class_names[10], dataset.image_shape) == (62, "A", (1, 28, 28))
    # Of 64 images 23 are of the digit 0, 21 of 1 and 20 of A; a tenth of each is held back.
    assert (dataset.num_train, dataset.num_test) == (64 - 2 - 2 - 2, 6)
    np.testing.assert_array_equal(loaded.train.samples[:, 0, 0, 0], ids)
    assert set(ids.tolist()) == {0, 1, 2, 3}


def test_ids_are_read_once(tmp_path, monkeypatch):
    write_femnist(tmp_path, WRITERS)
    first = preset("femnist", tmp_path).natural_ids("hsf_id")
    monkeypatch.setattr(
        "fl_backdoor.data.huggingface.HuggingFace._cells", lambda *_: pytest.fail("read twice")
    )
    np.testing.assert_array_equal(preset("femnist", tmp_path).natural_ids("hsf_id"), first)
    assert set(first.tolist()) == {0, 1}


@pytest.mark.parametrize("column", ["writer", "image"])
def test_a_column_that_is_not_there_is_one_line(tmp_path, column):
    write_femnist(tmp_path, WRITERS)
    with pytest.raises(ConfigError) as error:
        preset("femnist", tmp_path).natural_ids(column)
    assert str(error.value) == (
        f"partition.column = {column}: no column of whole numbers or text in flwrlabs/femnist; "
        "its columns: image, writer_id, hsf_id, character"
    )


def test_a_sample_without_an_id_is_one_line(tmp_path):
    dataset = Mnist5k(cache=str(tmp_path))
    with pytest.raises(ConfigError) as error:
        kept(dataset, "user", lambda: ["a", 3, None])
    assert str(error.value) == "partition.column = user: training sample 3 has no id there"


def test_images_without_columns_have_no_ids():
    with pytest.raises(ConfigError) as error:
        Mnist5k().natural_ids("user")
    expected = "mnist5k has no columns; sets of Hugging Face and tables of texts have"
    assert str(error.value) == f"partition.column = user: {expected}"
