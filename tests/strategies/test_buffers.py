"""Whatever a client says of BatchNorm's statistics goes through a robust step; figures by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl_backdoor.core.layout import LARGEST_COUNT, Layout, TensorSpec
from strategies.numerics.buffers import bounded_mean, weighted_mean
from strategies.rules.clip_avg import ClipAvg
from strategies.rules.fedavg import FedAvg
from strategies.rules.krum import Krum
from strategies.rules.multi_krum import MultiKrum
from strategies.rules.trimmed_mean import TrimmedMean
from tests.strategies.configurations import NAMES, settings
from tests.strategies.toy_workbench import TRAIN_THE_NETWORK, ToyWorkbench

NUM_CLIENTS = 11
LAYOUT = Layout(
    (
        TensorSpec("out.weight", (2, 2), "float32", True),
        TensorSpec("out.bias", (2,), "float32", True),
        TensorSpec("norm.running_mean", (3,), "float32", False),
        TensorSpec("norm.running_var", (3,), "float32", False),
        TensorSpec("norm.num_batches_tracked", (), "int64", False),
    )
)
ZERO = [np.zeros((2, 2), np.float32), np.zeros(2, np.float32), *[np.zeros(3, np.float32)] * 2, np.array(0)]

STRATEGIES = sorted({*NAMES} - TRAIN_THE_NETWORK)
FLOWERS = [
    "flower strategy.rule=MultiKrum",
    "flower strategy.rule=Bulyan strategy.num_malicious=2",
    "flower strategy.rule=FedMedian",
    "flower strategy.rule=FedTrimmedAvg",
]

LEAVE_OUT_ORDINARY_CLIENTS = {
    *("alignins", "deepsight", "dnc", "fltrust", "lasa", "mars", "multi_metrics", "freqfed", "rflbat"),
    "signguard",
}
"""Rules that do so among six parameters, or always: that the liar is among them proves nothing."""


def honest_states():
    random = np.random.default_rng(0)
    for client_id in range(NUM_CLIENTS):
        parameters, mean = np.split(random.standard_normal(9).astype(np.float32), [6])
        variance = random.uniform(0.15, 0.25, 3).astype(np.float32)
        weight, bias = parameters[:4].reshape(2, 2), parameters[4:]
        yield [weight, bias, mean, variance, np.array(10 + client_id % 3)]


def is_among(arrays, states):
    of_each = zip(arrays, zip(*states, strict=True), strict=True)
    return all(
        (np.min(given, axis=0) <= array).all() and (array <= np.max(given, axis=0)).all()
        for array, given in of_each
    )


@pytest.mark.parametrize("strategy", [*STRATEGIES, *FLOWERS])
def test_who_lies_about_statistics_alone_moves_them_no_farther_than_honest_clients_do(
    strategy, make_federation, exchange
):
    name, *own = strategy.split()
    chosen = settings(name, *own, "partition.num_clients=11", "attack.num_malicious=1")
    [liar] = chosen.get("client_ids", [4])
    federation = make_federation(NUM_CLIENTS).knowing(layout=LAYOUT, workbench=ToyWorkbench(num_params=6))
    rule = federation.configured(chosen)
    round_ = exchange(rule, ZERO)
    said = list(honest_states())
    # Its parameters are among the most usual ones, so that any rule that does not know it takes it in.
    for place in range(2):
        usual = np.median([state[place] for state in said], axis=0).astype(np.float32)
        said[liar][place] = (usual + said[liar][place]) / 2
    said[liar][2:] = np.full(3, -1e6, np.float32), np.full(3, 1e6, np.float32), np.array(LARGEST_COUNT)
    for client_id, state in enumerate(said):
        round_.says(client_id, state)
    merged = round_.finish()
    if strategy not in LEAVE_OUT_ORDINARY_CLIENTS:
        assert rule.outcome.aggregation.filtered[liar] == (strategy == "benign_alone")
    assert merged[4].dtype == np.int64
    honest = [state[2:] for client_id, state in enumerate(said) if client_id != liar]
    assert is_among(merged[2:], honest) == (strategy != "fedavg")


def test_what_cannot_be_costs_a_client_its_place(make_federation, exchange):
    round_ = exchange(make_federation(3).knowing(layout=LAYOUT).build(FedAvg), [*ZERO[:4], np.array(5)])
    sound = [*ZERO[:3], np.ones(3, np.float32), np.array(9)]
    round_.says(0, sound)
    round_.says(1, [*sound[:3], np.array([1, -0.1, 1], np.float32), sound[4]])
    round_.says(2, [*sound[:4], np.array(4)])
    merged = round_.finish()
    assert round_.rejected == {
        1: "norm.running_var holds a negative variance",
        2: "norm.num_batches_tracked is negative, or less than it was sent as",
    }
    assert merged[4] == 9


def test_a_mean_by_hand():
    values = np.array([[0.0, 4], [2, 4], [10, 8]])
    np.testing.assert_array_equal(weighted_mean(values, np.array([1, 1, 2])), [5.5, 6])


@pytest.mark.parametrize(
    ("weights", "num_malicious", "mean"),
    [
        ([0, 0, 0, 0, 1], 0, 1e6),
        ([0, 0, 0, 0, 1], 1, 4),  # 2 to 4 are left of all
        ([0, 0, 0, 0, 1], 2, 3),
        ([1, 0, 0, 0, 0], 1, 2),
        ([0, 0, 1, 0, 0], 1, 3),
        ([1, 1, 1, 1, 1], 1, (2 + 2 + 3 + 4 + 4) / 5),
        ([0.5, 0, 0.25, 0, 0.25], 1, (2 * 2 + 3 + 4) / 4),
    ],
)
def test_bounded_means_by_hand(weights, num_malicious, mean):
    values = np.array([[1.0], [2], [3], [4], [1e6]])
    np.testing.assert_array_equal(bounded_mean(values, np.array(weights), num_malicious), [mean])


TOLERANT = {
    "median": (lambda federation: federation.build(ClipAvg), 5),
    "krum": (lambda federation: federation.build(Krum, num_malicious=4), 4),
    "multi_krum": (lambda federation: federation.build(MultiKrum, num_malicious=3, num_to_select=4), 3),
    "trimmed_mean": (lambda federation: federation.build(TrimmedMean, beta=0.2), 2),
}
"""Rules, and how many of 11 clients may lie under each."""

numbers = st.floats(-1e6, 1e6, width=32)


@pytest.mark.parametrize(("build", "most"), TOLERANT.values(), ids=TOLERANT.keys())
def test_the_result_lies_among_honest_values_whoever_lies(build, most, make_federation, make_clients):
    strategy = build(make_federation(NUM_CLIENTS))
    aggregation = strategy.aggregate(make_clients(np.zeros((NUM_CLIENTS, 5))))
    liars = st.sets(st.integers(0, NUM_CLIENTS - 1), max_size=most)

    @given(hnp.arrays(np.float64, (NUM_CLIENTS, 4), elements=numbers), liars)
    def check(values, liars):
        honest = np.delete(values, list(liars), axis=0)
        merged = strategy.merge_buffers(values, aggregation).astype(np.float32)
        assert (honest.min(axis=0) <= merged).all()
        assert (merged <= honest.max(axis=0)).all()

    check()
