import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_backdoor.config.schema import PartitionConfig
from fl_backdoor.core.errors import ConfigError, DataError
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.data.partition import partition, unowned

REPOSITORY = Path(__file__).parents[2]
LABELS = np.repeat(np.arange(10), 60)
FLWR = "flwr_datasets.partitioner"


def config(num_clients=7, name="IidPartitioner", **partitioner):
    return PartitionConfig(num_clients=num_clients, partitioner={"_target_": f"{FLWR}.{name}", **partitioner})


def dirichlet(**partitioner):
    return config(4, "DirichletPartitioner", partition_by="label", alpha=0.5, **partitioner)


def as_lists(plan):
    return [indices.tolist() for indices in plan]


def label_counts(plan):
    return [np.bincount(LABELS[indices], minlength=10).tolist() for indices in plan]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_iid_plans_are_disjoint_covering_and_even(tmp_path, data):
    num_samples = data.draw(st.integers(1, 200))
    num_clients = data.draw(st.integers(1, num_samples))
    seed = data.draw(st.integers(0, 2**64))
    plan = partition(np.arange(num_samples) % 3, config(num_clients), seed, tmp_path)
    assert sorted(np.concatenate(plan)) == list(range(num_samples))
    sizes = [len(indices) for indices in plan]
    assert len(plan) == num_clients
    assert max(sizes) - min(sizes) <= 1
    assert all(indices.dtype == np.int64 for indices in plan)
    assert all((np.diff(indices) > 0).all() for indices in plan)


def test_iid_plan_cuts_the_seeds_permutation(tmp_path):
    shuffled = generator(3, Purpose.PARTITION).permutation(600)
    expected = [sorted(part) for part in np.array_split(shuffled, 7)]
    assert as_lists(partition(LABELS, config(), 3, tmp_path)) == expected


@pytest.mark.parametrize("make", [config, dirichlet])
def test_plan_follows_from_the_seed(tmp_path, make):
    first = as_lists(partition(LABELS, make(), 3, tmp_path / "a"))
    again = as_lists(partition(LABELS, make(), 3, tmp_path / "b"))
    other = as_lists(partition(LABELS, make(), 4, tmp_path / "a"))
    assert first == again
    assert first != other


def test_plan_depends_on_the_number_of_clients_and_on_the_labels(tmp_path):
    partition(LABELS, config(7), 3, tmp_path)
    partition(LABELS, config(8), 3, tmp_path)
    partition(LABELS[::-1], config(7), 3, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


FROM_CACHE = """
import sys
from pathlib import Path
import numpy as np
from fl_backdoor.config.schema import PartitionConfig
from fl_backdoor.data.partition import partition, unowned

config = PartitionConfig(num_clients=7, partitioner={"_target_": "flwr_datasets.partitioner.IidPartitioner"})
plan = partition(np.repeat(np.arange(10), 60), config, 3, Path(sys.argv[1]))
print([indices.tolist() for indices in plan])
print({"flwr_datasets", "datasets"} & set(sys.modules))
"""


def test_kept_plan_is_the_fresh_one_and_needs_no_flwr_datasets(tmp_path):
    fresh = partition(LABELS, config(), 3, tmp_path)
    assert as_lists(partition(LABELS, config(), 3, tmp_path)) == as_lists(fresh)
    run = subprocess.run(
        [sys.executable, "-c", FROM_CACHE, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f"{as_lists(fresh)}\nset()\n"


def shorten(file):
    file.write_bytes(file.read_bytes()[:200])


def empty(file):
    file.write_bytes(b"")


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[300] ^= 1
    file.write_bytes(content)


def swap(file):
    np.savez(file, indices=np.arange(600))


def repeat_an_image(file):
    with np.load(file) as stored:
        indices, sizes = stored["indices"], stored["sizes"]
    indices[0] = indices[1]
    np.savez(file, indices=indices, sizes=sizes)


def lose_a_client(file):
    np.savez(file, indices=np.arange(600), sizes=[100] * 6)


@pytest.mark.parametrize("damage", [shorten, empty, flip_a_byte, swap, repeat_an_image, lose_a_client])
def test_damaged_plan_is_made_again(tmp_path, caplog, damage):
    plan = as_lists(partition(LABELS, config(), 3, tmp_path))
    (file,) = tmp_path.iterdir()
    damage(file)
    with caplog.at_level(logging.WARNING, logger="fl_backdoor"):
        assert as_lists(partition(LABELS, config(), 3, tmp_path)) == plan
    assert f"{file} is damaged" in caplog.text
    caplog.clear()
    assert as_lists(partition(LABELS, config(), 3, tmp_path)) == plan
    assert not caplog.text
    assert list(tmp_path.iterdir()) == [file]


def test_label_skew_is_a_matter_of_settings(tmp_path):
    plan = partition(LABELS, dirichlet(), 3, tmp_path)
    assert sorted(np.concatenate(plan)) == list(range(600))
    even = 15
    assert max(max(row) for row in label_counts(plan)) > 2 * even


def test_seed_of_the_partitioner_is_the_runs_unless_it_is_set(tmp_path):
    with_the_runs = [label_counts(partition(LABELS, dirichlet(), seed, tmp_path)) for seed in (3, 4)]
    with_its_own = [label_counts(partition(LABELS, dirichlet(seed=5), seed, tmp_path)) for seed in (3, 4)]
    assert with_the_runs[0] != with_the_runs[1]
    assert with_its_own[0] == with_its_own[1]


def test_null_seed_is_the_runs(tmp_path):
    null = as_lists(partition(LABELS, dirichlet(seed=None), 3, tmp_path))
    assert null == as_lists(partition(LABELS, dirichlet(), 3, tmp_path))


def test_partitioner_with_sizes_of_its_own(tmp_path):
    made = partition(LABELS, config(2, "SizePartitioner", partition_sizes=[500, 100]), 3, tmp_path)
    assert [len(indices) for indices in made] == [500, 100]
    with pytest.raises(ConfigError, match=r"makes 2 partitions, partition\.num_clients is 3"):
        partition(LABELS, config(3, "SizePartitioner", partition_sizes=[500, 100]), 3, tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (config(601), r"^partition\.num_clients = 601: must be at most the 600 training samples$"),
        (config(num_partitions=3), r"^partition\.partitioner\.num_partitions = 3: no such setting"),
        (config(name="NoPartitioner"), r"^partition\.partitioner\._target_ = .*cannot be imported"),
        (config(name="DirichletPartitioner", partition_by="label"), r"^partition\.partitioner\.alpha = "),
        (dirichlet(seed="x"), r"^partition\.partitioner\.seed"),
        (dirichlet(min_partition_size=500), r"^partition\.partitioner = .*max number of attempts"),
        (config(4, "DirichletPartitioner", partition_by="label", alpha=-1.0), r"greater than zero"),
        (
            config(4, "DirichletPartitioner", partition_by="class", alpha=1.0),
            r"^partition\.partitioner = .*class",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_wrong_settings_are_named_in_one_line(tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message) as raised:
        partition(LABELS, wrong, 3, tmp_path)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_client_without_samples_is_refused(tmp_path):
    nobody = config(50, "DirichletPartitioner", partition_by="label", alpha=0.01, min_partition_size=0)
    with pytest.raises(ConfigError, match=r"leaves client \d+ without samples"):
        partition(LABELS, nobody, 3, tmp_path)


def test_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"^dataset\.cache: cannot write to "):
        partition(LABELS, config(), 3, tmp_path / "file")


def from_yaml(name, num_clients, **changed):
    text = (REPOSITORY / "conf" / "partition" / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    plain = yaml.safe_load(text)
    return PartitionConfig(num_clients=num_clients, partitioner=plain["partitioner"] | changed)


def test_yaml_is_ten_equal_parts():
    assert from_yaml("iid", 10) == config(10)


SKEWED = [
    ("dirichlet", {"alpha": 0.1}),
    ("dirichlet", {"alpha": 0.5}),
    ("dirichlet", {"alpha": 1.0}),
    ("pathological", {}),
    ("quantity_skew", {}),
]


@pytest.mark.parametrize(("name", "changed"), SKEWED)
def test_skewed_plans_are_disjoint_cover_and_follow_from_the_seed(tmp_path, name, changed):
    wanted = from_yaml(name, 12, **changed)
    labels = np.repeat(np.arange(10), 300)
    plan = as_lists(partition(labels, wanted, 3, tmp_path / "a"))
    assert sorted(np.concatenate(plan)) == list(range(3_000))
    assert len(plan) == 12
    assert plan == as_lists(partition(labels, wanted, 3, tmp_path / "b"))
    assert plan != as_lists(partition(labels, wanted, 4, tmp_path / "a"))


def test_dirichlet_shares_are_those_of_the_distribution(tmp_path):
    """Of a symmetric Dirichlet of n shares each has mean 1/n and variance (n - 1) / (n² (n alpha + 1))."""
    labels = np.repeat(np.arange(100), 100)
    for alpha in (0.1, 0.5, 1.0):
        plan = partition(labels, from_yaml("dirichlet", 10, alpha=alpha), 3, tmp_path)
        shares = np.stack([np.bincount(labels[indices], minlength=100) for indices in plan]) / 100
        # 1,000 shares; the sample variance is within a fifth of the true one.
        assert shares.var() == pytest.approx(9 / (100 * (10 * alpha + 1)), rel=0.2)


@pytest.mark.parametrize("num_classes", [1, 2, 3])
def test_pathological_clients_have_so_many_classes_and_one_by_their_number(tmp_path, num_classes):
    wanted = from_yaml("pathological", 12, num_classes_per_partition=num_classes)
    plan = partition(LABELS, wanted, 3, tmp_path)
    for client_id, counts in enumerate(label_counts(plan)):
        assert np.count_nonzero(counts) == num_classes
        assert counts[client_id % 10] > 0


def test_sizes_under_quantity_skew_are_the_drawn_shares(tmp_path):
    drawn = np.random.default_rng(11).dirichlet([0.5] * 4)
    shares = 0.05 / 4 + 0.95 * drawn
    plan = partition(LABELS, from_yaml("quantity_skew", 4, seed=11), 3, tmp_path)
    sizes = [len(indices) for indices in plan]
    # Rounded down; what is left goes to the last client.
    assert sizes[:3] == [int(600 * share) for share in shares[:3]]
    assert sum(sizes) == 600
    assert min(sizes) >= int(600 * 0.05 / 4)


def test_quantity_skew_keeps_the_classes_alike(tmp_path):
    labels = np.repeat(np.arange(10), 500)
    for indices in partition(labels, from_yaml("quantity_skew", 4), 3, tmp_path):
        shares = np.bincount(labels[indices], minlength=10) / len(indices)
        # Drawn without replacement: at most the binomial's standard deviation; five of them.
        assert np.abs(shares - 0.1).max() < 5 * np.sqrt(0.09 / len(indices))


def test_samples_without_an_owner_are_told(tmp_path):
    pathological = {"partition_by": "label", "num_classes_per_partition": 2}
    assignment = {"class_assignment_mode": "first-deterministic"}
    plan = partition(LABELS, config(3, "PathologicalPartitioner", **pathological, **assignment), 3, tmp_path)
    counted = sum(len(indices) for indices in plan)
    missing = sorted(set(range(10)) - set(LABELS[np.concatenate(plan)].tolist()))
    assert unowned(LABELS, plan, 0) == (
        f"partition: {600 - counted} of 600 training samples belong to no client; "
        f"no client has class {', '.join(map(str, missing))}"
    )
    assert len(missing) >= 4
    assert unowned(LABELS, [np.arange(300), np.arange(300, 580)], num_kept=20) is None
    assert unowned(LABELS, [np.arange(300), np.arange(300, 580)], num_kept=0) == (
        "partition: 20 of 600 training samples belong to no client"
    )
