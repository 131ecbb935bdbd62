"""Chains: what several steps make of a round together, and what is said of its clients."""

from functools import partial

import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from strategies.chain.chain import Chain
from strategies.rules.bulyan import Bulyan
from strategies.rules.clip_avg import ClipAvg
from strategies.rules.fedavg import FedAvg
from strategies.rules.iqr_filter import IQRFilter
from strategies.rules.krum import Krum
from strategies.rules.median import Median
from strategies.rules.multi_krum import MultiKrum
from strategies.rules.oracle_filter import OracleFilter
from strategies.steps.nnm import NNM
from strategies.steps.norm_clipping import NormClipping
from strategies.steps.weak_noise import WeakNoise
from tests.strategies.made_steps import Momentum, Pairs, Pruned, Pull, Shortest, Trust


@pytest.fixture
def chain(make_federation):
    """Return a maker of chains for so many clients."""
    return lambda num_clients, *steps: make_federation(num_clients).build(partial(Chain, steps))


MultiKrumOf4 = partial(MultiKrum, num_malicious=1, num_to_select=4)


def test_the_order_of_steps_matters(chain, make_clients):
    clients = make_clients([[1], [2], [3], [4], [100]])
    # Multi-Krum leaves out 100; then nothing is longer than 4.
    first = chain(5, MultiKrumOf4(), NormClipping(bound=4)).aggregate(clients)
    np.testing.assert_array_equal(first.update, [(1 + 2 + 3 + 4) / 4])
    np.testing.assert_array_equal(first.clip_coefficients, 1)
    assert first.flagged.tolist() == first.filtered.tolist() == [False] * 4 + [True]
    # 1 2 3 4 4: the scores over two neighbours are 5 2 2 1 1, so 1 is left out.
    last = chain(5, NormClipping(bound=4), MultiKrumOf4()).aggregate(clients)
    np.testing.assert_array_equal(last.update, [(2 + 3 + 4 + 4) / 4])
    np.testing.assert_allclose(last.clip_coefficients, [1, 1, 1, 1, 0.04], rtol=1e-15)
    np.testing.assert_array_equal(last.weights, [0, 0.25, 0.25, 0.25, 0.25])
    assert last.flagged.tolist() == last.filtered.tolist() == [True] + [False] * 4


def test_clip_coefficients_are_multiplied_and_flags_unite(chain, make_clients):
    # Lengths 1 2 4 8 16 in one step at rate 1. ClipAvg at 8 halves 16 and flags it; then 4 is the longest.
    clients = make_clients([[1], [2], [4], [8], [16]])
    result = chain(5, ClipAvg(clip_gamma=8.0, learning_rate=1), NormClipping(bound=4), Shortest()).aggregate(
        clients
    )
    # 1 2 4 4 4: all of the longest go.
    np.testing.assert_array_equal(result.clip_coefficients, [1, 1, 1, 0.5, 0.25])
    assert result.flagged.tolist() == [False, False, True, True, True]
    np.testing.assert_array_equal(result.update, [1.5])


def test_a_rule_sees_what_is_left(chain, make_clients):
    clients = make_clients([[1], [2], [3], [50], [60]])
    result = chain(5, Shortest(), Shortest(), Median()).aggregate(clients)
    np.testing.assert_array_equal(result.update, [2])
    np.testing.assert_array_equal(result.weights, [np.nan] * 3 + [0, 0])
    assert result.filtered.tolist() == result.flagged.tolist() == [False] * 3 + [True] * 2


def test_mixed_rows_are_their_clients(chain, make_clients):
    # Rows of NNM with f = 2 (test_steps): 4/3 three times, 11/3 and 10; the longest is of 3, 7 and 20.
    clients = make_clients([[0], [1], [3], [7], [20]])
    result = chain(5, NNM(num_malicious=2), Shortest()).aggregate(clients)
    np.testing.assert_allclose(result.update, [(3 * 4 + 11) / 12], rtol=1e-7)
    np.testing.assert_allclose(result.weights, np.divide([3, 4, 4, 1, 0], 12), rtol=1e-14)
    # 20 is in no other row; 3 and 7 are.
    assert result.filtered.tolist() == result.flagged.tolist() == [False] * 4 + [True]
    median = chain(5, NNM(num_malicious=2), Median()).aggregate(clients)
    np.testing.assert_allclose(median.update, [4 / 3], rtol=1e-7)
    assert np.isnan(median.weights).all()


def test_clipped_rows_of_several_clients(chain, make_clients):
    # Rows 4/3, 4/3, 4/3, 11/3 and 10, the last clipped by 11/30: one of five rows of 3, of two of 7.
    clients = make_clients([[0], [1], [3], [7], [20]])
    result = chain(5, NNM(num_malicious=2), NormClipping(bound=11 / 3)).aggregate(clients)
    expected = [1, 1, (4 + 11 / 30) / 5, (1 + 11 / 30) / 2, 11 / 30]
    np.testing.assert_allclose(result.clip_coefficients, expected, rtol=1e-6)
    np.testing.assert_allclose(result.update, [(4 + 11 / 3 + 11 / 3) / 5], rtol=1e-6)


def test_groups_of_clients(chain, make_clients):
    # Buckets 1 5 31, of which the last is the longest.
    clients = make_clients([[0], [2], [4], [6], [30], [32]])
    result = chain(6, Pairs(), Shortest()).aggregate(clients)
    np.testing.assert_array_equal(result.update, [3])
    np.testing.assert_array_equal(result.weights, [0.25] * 4 + [0] * 2)
    assert result.flagged.tolist() == result.filtered.tolist() == [False] * 4 + [True] * 2


def test_weights_are_multiplied(chain, make_clients):
    clients = make_clients([[1], [2], [4], [8]], weights=[0.1, 0.2, 0.3, 0.4])
    result = chain(4, Trust([1, 0.5, 0, 0.25]), Trust([1, 1, 2])).aggregate(clients)
    # 0.1, 0.1 and twice 0.1 of 0.4.
    np.testing.assert_allclose(result.weights, [0.25, 0.25, 0, 0.5], rtol=1e-14)
    np.testing.assert_allclose(result.update, [0.25 + 0.5 + 4], rtol=1e-7)
    assert result.filtered.tolist() == [False, False, True, False]
    assert not result.flagged.any(), "this step takes nobody for malicious"


def test_a_rule_takes_weights_that_a_step_has_changed(chain, make_clients):
    result = chain(3, Trust([3, 1, 0]), FedAvg()).aggregate(make_clients([[4], [8], [100]]))
    np.testing.assert_array_equal(result.update, [5])


def test_what_is_known_of_pairs_stays_known(chain, make_clients):
    clients = make_clients(np.random.default_rng(0).standard_normal((8, 5)))
    result = chain(8, MultiKrum(num_malicious=1, num_to_select=6), IQRFilter(iqr_k=0.1)).aggregate(clients)
    selected = MultiKrum(num_malicious=1, num_to_select=6).choose(clients).factors > 0
    some = make_clients(clients.updates[selected], client_ids=clients.client_ids[selected])
    alone = IQRFilter(iqr_k=0.1).choose(some)
    assert result.filtered[selected].tolist() == alone.flagged.tolist()
    assert 0 < alone.flagged.sum() < 6


@pytest.mark.parametrize(
    ("steps", "merged"),
    [
        ([NormClipping], 5),  # of 0 2 4 6 100 102
        ([FedAvg], 214 / 6),
        ([Pairs], 5),  # the median of 1 5 101
        ([Pairs, FedAvg], 107 / 3),
        ([Pairs, Shortest], 3),  # of 1 and 5
        ([Pairs, Shortest, Median], 3),
        ([Shortest, NormClipping, WeakNoise], 4),  # of 0 2 4 6 100
    ],
)
def test_buffers_go_into_rows_as_updates_do(chain, make_clients, steps, merged):
    strategy = chain(6, *(step() for step in steps))
    clients = make_clients([[0], [2], [4], [6], [30], [32]])
    values = np.array([[0.0], [2], [4], [6], [100], [102]])
    np.testing.assert_allclose(strategy.merge_buffers(values, strategy.aggregate(clients)), [merged])


def test_a_rules_own_merging_of_buffers_sees_rows(chain, make_clients):
    # 14 clients in 7 pairs. Bulyan with f = 1 takes the median of 5 rows, and 3 around it.
    clients = make_clients(np.repeat([0, 1, 2, 3, 4, 5, 60], 2)[:, None])
    values = np.repeat([0.0, 10, 20, 30, 40, 50, 600], 2)[:, None]
    strategy = chain(14, Pairs(), Bulyan(num_malicious=1))
    result = strategy.aggregate(clients)
    rows = make_clients([[0], [1], [2], [3], [4], [5], [60]])
    alone = chain(7, Bulyan(num_malicious=1))
    expected = alone.aggregate(rows)
    np.testing.assert_array_equal(result.update, expected.update)
    np.testing.assert_array_equal(result.flagged, np.repeat(expected.flagged, 2))
    np.testing.assert_array_equal(
        strategy.merge_buffers(values, result), alone.merge_buffers(values[::2], expected)
    )


def test_too_few_rows_keep_the_model(chain, make_clients, caplog):
    strategy = chain(6, OracleFilter(client_ids=[1, 4]), Krum(num_malicious=1))
    clients = make_clients(np.arange(6)[:, None])
    result = strategy.aggregate(clients)
    assert result.filtered.all()
    assert result.flagged.tolist() == [False, True, False, False, True, False]
    assert "round 1 keeps the model: Krum is given 4 rows, 5 needed" in caplog.text


def test_nobody_left_keeps_the_model(chain, make_clients):
    result = chain(2, OracleFilter(client_ids=[0, 1]), NormClipping()).aggregate(make_clients([[1], [2]]))
    assert result.filtered.all()
    assert not result.update.any()


def run_rounds(strategy, exchange, make_state, model, rounds):
    """Have three clients move the model by what follows from the round, and return it."""
    for server_round in rounds:
        one = exchange(strategy, model, server_round - strategy.rounds_before)
        for client_id in range(3):
            moved = [np.asarray(array + array.dtype.type(client_id * server_round)) for array in model]
            one.says(client_id, moved)
        model = one.finish()
    return model


def remembering(make_federation):
    steps = (Pull(), NormClipping(), Pull(), Momentum(), Pruned(), Momentum())
    return make_federation(3).build(partial(Chain, steps))


def test_a_chain_that_was_cut_off_goes_on_with_the_same_bits(make_federation, exchange, make_state):
    at_once = run_rounds(remembering(make_federation), exchange, make_state, make_state(), (1, 2, 3, 4))
    first = remembering(make_federation)
    half_way = run_rounds(first, exchange, make_state, make_state(), (1, 2))
    state = first.state()
    assert sorted(state) == ["Momentum.velocity", "Momentum_2.velocity", "Pull.last", "Pull_2.last"]
    assert not np.array_equal(state["Momentum.velocity"], state["Momentum_2.velocity"])
    second = remembering(make_federation)
    second.restore(2, state)
    in_two_goes = run_rounds(second, exchange, make_state, half_way, (3, 4))
    for once, twice in zip(at_once, in_two_goes, strict=True):
        np.testing.assert_array_equal(once, twice)
    forgetful = remembering(make_federation)
    forgetful.rounds_before = 2
    assert not np.array_equal(run_rounds(forgetful, exchange, make_state, half_way, (3, 4))[0], at_once[0])


def test_steps_of_one_kind_have_noise_of_their_own(chain, make_clients, make_state):
    clients = make_clients([[0.0]])
    one, two = chain(1, WeakNoise()), chain(1, WeakNoise(), WeakNoise())
    first, both = (
        strategy.finish(make_state(), clients, strategy.aggregate(clients))[0] for strategy in (one, two)
    )
    assert np.abs(both / first - 2).min() > 1e-3, "the second adds other noise than the first"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "strategy.steps = []: name at least one step"),
        (
            [Median, NormClipping],
            "strategy.steps = [Median, NormClipping]: after Median there may only be steps that work on the"
            " model, NormClipping does not",
        ),
        (
            [Median, FedAvg],
            "strategy.steps = [Median, FedAvg]: after Median there may only be steps that work on the model,"
            " FedAvg does not",
        ),
        (
            [WeakNoise, Median],
            "strategy.steps = [WeakNoise, Median]: after WeakNoise there may only be steps that work on the"
            " model, Median does not",
        ),
        (
            [Pairs, partial(OracleFilter, client_ids=[1])],
            "strategy.steps = [Pairs, OracleFilter]: OracleFilter knows clients by their ids, and Pairs"
            " before it puts several into a row",
        ),
        (
            [Krum, MultiKrum],
            "strategy.steps = [Krum, MultiKrum]: the steps before MultiKrum leave fewer rows than it needs,"
            " however many clients there are",
        ),
        (
            [Pairs, partial(Krum, num_malicious=2)],
            "strategy.Krum.num_malicious = 2: Krum needs at least 2 * 2 + 3 = 7 clients a round,"
            " clients_per_round is 5: of 10 clients the steps before Krum leave 5 rows",
        ),
        (
            [NormClipping, partial(Krum, num_malicious=4)],
            "strategy.Krum.num_malicious = 4: Krum needs at least 2 * 4 + 3 = 11 clients a round,"
            " clients_per_round is 10",
        ),
    ],
)
def test_a_chain_that_cannot_work_is_one_line(chain, steps, message):
    with pytest.raises(ConfigError) as error:
        chain(10, *(step() for step in steps))
    assert str(error.value) == message


def test_a_chain_needs_as_many_clients_as_its_steps(chain):
    assert chain(20, NormClipping(), WeakNoise()).required_clients == 1
    assert chain(20, NNM(num_malicious=2), Krum(num_malicious=2)).required_clients == 7
    assert chain(20, Pairs(), Krum(num_malicious=2)).required_clients == 13


def test_a_chain_without_a_rule_says_so(chain):
    assert chain(4, NormClipping(), Median()).notices == []
    assert chain(4, NormClipping(), WeakNoise()).notices == [
        "strategy.steps = [NormClipping, WeakNoise]: no rule is among them, the weighted mean of updates is"
        " taken"
    ]
