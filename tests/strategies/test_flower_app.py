"""Rules in a stranger's Flower app: Flower's messages and arguments, a stranger's ClientApp."""

import math

import numpy as np
import pytest
from flwr.app import MetricRecord
from flwr.serverapp.strategy import DifferentialPrivacyServerSideFixedClipping
from flwr.serverapp.strategy import FedAvg as FlowersFedAvg

import strategies
from fl_backdoor.core import strategy_plugin
from fl_backdoor.core.errors import ConfigError
from strategies import (
    NNM,
    Chain,
    ClipAvg,
    FedAvg,
    Hybrid,
    IQRFilter,
    Krum,
    Median,
    OracleFilter,
    PersistentDirection,
    TrimmedMean,
)
from strategies.chain.inner_courier import InnerCourier
from tests.strategies.configurations import NAMES, settings
from tests.strategies.flower_app import FIRST_NODE, InProcess, config, model, record, run
from tests.strategies.toy_workbench import TRAIN_THE_NETWORK, ToyWorkbench

FIVE = [1.0, 1.0, 1.0, 2.0, 10.0]


def two_steps(place):
    """The fourth client takes four steps, the others two: at rate 0.5 gradients are 1, 1, 1, 1, 10."""
    return {"num-steps": 4 if place == 3 else 2}


def scalar(value=0.0, dtype=np.float32):
    return {"weight": np.array([value], dtype)}


def test_hybrid_by_hand():
    strategy = Hybrid(clip_gamma=1.0, clip_decay=0.5, iqr_k=0.3, learning_rate=0.5)
    found = run(strategy, InProcess(FIVE, two_steps), scalar(), num_rounds=2)
    # Round 1: only the last is over Q3 + 0.3·IQR = 1 and clipped at 1: (1 + 1 + 1 + 2 + 1) / 5.
    # Round 2: the same, clipped at 1/√2.
    np.testing.assert_allclose(found["weight"], [6 / 5 + (5 + 1 / math.sqrt(2)) / 5], rtol=1e-6)
    assert strategy.outcome.aggregation.flagged.tolist() == [False] * 4 + [True]
    np.testing.assert_allclose(strategy.outcome.updates.gradient_norms, [1, 1, 1, 1, 10], rtol=1e-6)


def test_clip_avg_takes_steps_and_rate_from_arguments_where_clients_say_nothing():
    strategy = ClipAvg(clip_gamma=1.0, learning_rate=0.5, num_steps=4)
    found = run(strategy, InProcess([1.0, 2.0, 6.0]), scalar())
    np.testing.assert_allclose(found["weight"], [(1 + 2 + 2) / 3], rtol=1e-6)  # g = 0.5, 1, 3


def test_the_median_of_the_rates_that_clients_report_counts():
    rates = [0.1, 0.25, 0.25, 9.0]
    strategy = ClipAvg(clip_gamma=1.0, learning_rate=7.0, num_steps=4)
    grid = InProcess([1.0, 2.0, 1.0, 1.0], lambda place: {"learning-rate": rates[place]})
    found = run(strategy, grid, scalar())
    np.testing.assert_allclose(found["weight"], [(1 + 1 + 1 + 1) / 4], rtol=1e-6)  # at 0.25: g = 1, 2, 1, 1


@pytest.mark.parametrize("rule", [ClipAvg, Hybrid])
def test_a_rule_that_judges_gradients_must_know_the_rate(rule):
    with pytest.raises(
        ConfigError, match=rf"^learning_rate = None: {rule.__name__} judges average gradients"
    ):
        rule()


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        (Hybrid, {"clip_gamma": 0, "learning_rate": 1}, "clip_gamma = 0: must be greater than 0"),
        (Krum, {"num_malicious": -1}, "num_malicious = -1: must be greater than or equal to 0"),
        (Median, {"server_learning_rate": "fast"}, "server_learning_rate = fast: must be a valid number"),
        (IQRFilter, {"weighting": "fair"}, "weighting = fair: must be 'equal' or 'num_examples'"),
        (FedAvg, {"courier": 5}, "courier = 5: must be an instance of Courier"),
    ],
)
def test_a_wrong_setting_is_one_line(rule, settings, message):
    with pytest.raises(ConfigError) as caught:
        rule(**settings)
    assert str(caught.value).startswith(message)


def test_an_unknown_setting_is_refused_as_any_function_refuses_it():
    with pytest.raises(TypeError, match="unexpected keyword argument 'clip_gama'"):
        Hybrid(clip_gama=1.0, learning_rate=0.5)


def test_without_steps_a_client_has_no_average_gradient():
    strategy = Hybrid(learning_rate=0.5)
    run(strategy, InProcess([1.0, 1.0]), scalar())
    said = "it does not report num-steps, and the strategy was not told num_steps"
    assert strategy.outcome.rejected == {0: said, 1: said}
    assert strategy.outcome.aggregation is None


def test_fedavg_weighs_as_flowers_if_it_is_told_so():
    grid = InProcess(FIVE)
    parameters = {name: array for name, array in model().items() if array.dtype.kind == "f"}
    flowers = run(FlowersFedAvg(), grid, parameters, num_rounds=2)
    ours = run(FedAvg(weighting="num_examples"), grid, parameters, num_rounds=2)
    assert list(ours) == list(flowers)
    for name, array in flowers.items():
        np.testing.assert_allclose(ours[name], array, rtol=1e-6)
    # (10·1 + 20·1 + 30·1 + 40·2 + 50·10) / 150 a round; by default (1 + 1 + 1 + 2 + 10) / 5.
    np.testing.assert_allclose(ours["bias"], [2 * 640 / 150], rtol=1e-6)
    np.testing.assert_allclose(run(FedAvg(), grid)["bias"], [3.0], rtol=1e-6)


def test_the_servers_rate():
    assert run(Median(server_learning_rate=0.5), InProcess([1.0, 2.0, 3.0]), scalar())["weight"] == [1.0]


def test_flowers_arguments_configurations_and_metrics():
    grid = InProcess([1.0] * 10, lambda place: {"loss": float(place), "parts": [1.0, float(place)]})
    strategy = Median(
        fraction_train=0.4, fraction_evaluate=0.3, configrecord_key="config", min_available_nodes=10
    )
    first, chosen = record(model()), {"train_config": config(lr=0.1), "evaluate_config": config(batch=7)}
    result = strategy.start(grid, first, num_rounds=2, **chosen)
    trained, evaluated = ([one for one in grid.seen if one[0] == kind] for kind in ("train", "evaluate"))
    assert (len(trained), len(evaluated)) == (8, 6)
    assert [one[2] for one in trained] == [{"lr": 0.1, "server-round": r} for r in (1, 2) for _ in range(4)]
    assert [one[2] for one in evaluated] == [
        {"batch": 7, "server-round": r} for r in (1, 2) for _ in range(3)
    ]
    for server_round in (1, 2):
        metrics = result.train_metrics_clientapp[server_round]
        places = [one[1] for one in trained if one[2]["server-round"] == server_round]
        wanted = np.average(places, weights=[place + 1 for place in places])
        assert metrics["loss"] == pytest.approx(wanted)
        assert metrics["parts"] == pytest.approx([1.0, wanted])
        assert set(result.evaluate_metrics_clientapp[server_round]) == {"place"}
    assert list(result.arrays) == list(first)


def test_a_metric_function_of_ones_own():
    def largest(replies, weighted_by_key):
        assert weighted_by_key == "num-examples"
        return MetricRecord(
            {"most": max(next(iter(r.metric_records.values()))["num-examples"] for r in replies)}
        )

    result = FedAvg(train_metrics_aggr_fn=largest).start(InProcess([1.0] * 3), record(model()), 1)
    assert result.train_metrics_clientapp[1] == {"most": 30}


def test_buffers_are_known_by_their_names_and_arrays_by_theirs():
    strategy = IQRFilter()
    found = run(strategy, InProcess([1.0, 1.0, 1.0, 4.0]))
    assert strategy.outcome.updates.updates.shape == (4, 5)
    assert {name: array.dtype.name for name, array in found.items()} == {
        "weight": "float32",
        "norm.running_mean": "float32",
        "norm.num_batches_tracked": "int64",
        "bias": "float32",
    }
    np.testing.assert_array_equal(found["norm.running_mean"], [1, 1])
    assert (found["norm.num_batches_tracked"], found["norm.num_batches_tracked"].shape) == (1, ())


@pytest.mark.parametrize(("buffers", "num_params"), [(["bias"], 6), ([], 7)])
def test_buffers_can_be_named(buffers, num_params):
    strategy = FedAvg(buffers=buffers)
    run(strategy, InProcess([1.0, 1.0]))
    assert strategy.outcome.updates.updates.shape == (2, num_params)


def test_there_must_be_such_buffers():
    with pytest.raises(
        ConfigError, match=r"^buffers = bais: no such array; there are weight, norm\.running_mean"
    ):
        run(FedAvg(buffers=["bais"]), InProcess([1.0, 1.0]))


def test_there_must_be_something_to_train():
    with pytest.raises(ConfigError, match=r"^arrays = count: hold no floating-point numbers to train$"):
        run(FedAvg(), InProcess([1.0, 1.0]), {"count": np.array(3)})


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_stay_what_they_are(dtype):
    found = run(Median(), InProcess([0.25, 0.5, 0.75]), scalar(2.0, dtype))["weight"]
    assert (found.dtype, found.tolist()) == (dtype, [2.5])


def test_a_client_may_answer_in_double_precision():
    def doubled(message, reply):
        local = {name: a.numpy() + 0.0 for name, a in reply.content["arrays"].items()}
        local = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in local.items()}
        reply.content["arrays"] = record({**local, "norm.num_batches_tracked": np.array(1)})
        return reply

    strategy = FedAvg()
    found = run(strategy, InProcess([1.0, 3.0], spoil={1: doubled}))
    assert strategy.outcome.rejected == {}
    np.testing.assert_array_equal(found["bias"], np.float32([2]))


RULES = [Median(), TrimmedMean(), IQRFilter(), FedAvg(), Krum(num_malicious=1), PersistentDirection()]
RULES.append(Chain([NNM(num_malicious=1), Median()]))


@pytest.mark.parametrize("strategy", RULES, ids=lambda strategy: type(strategy).__name__)
def test_tied_weights_stay_tied(strategy):
    tied = np.linspace(-1, 1, 6, dtype=np.float32)
    found = run(strategy, InProcess([0.1, 0.2, 0.3, 0.4, 0.5, 0.7]), {"encoder": tied, "decoder": tied}, 2)
    assert not np.array_equal(found["encoder"], tied)
    np.testing.assert_array_equal(found["encoder"], found["decoder"])


ON_A_NETWORK = {"clp", "fine_pruning", "fine_tuning", "i_bau", "nad"}
"""Run in test_removal.py, on a model that has convolutions."""

CONFIGS = sorted({*NAMES} - ON_A_NETWORK)


MOVEMENTS = {
    "sparsification": (-1e-9, 2.3),  # moves one of the five parameters
    "fed_avgm": (3.0, 3.1),  # 1.05 after a round, and 1.05 + .9 · 1.05 in the next
    "fed_adam": (0.02, 0.025),  # by about η = .01 a round, whatever the length of updates
    "fed_yogi": (0.02, 0.025),
}
"""How far two rounds of about 1.05 move a parameter, where it is not about 2.1.

ClipAvg's bounds are 1 and 2 ** -0.3, and there are five parameters: (1 + 0.81) / √5 each.
"""


@pytest.mark.parametrize("name", sorted({*CONFIGS} - TRAIN_THE_NETWORK))
def test_each_configured_rule_runs_in_a_flower_app(name):
    inside = {"courier": InnerCourier()}
    known = {"learning_rate": 0.5, "num_steps": 2, "workbench": ToyWorkbench(num_params=5)}
    strategy = strategy_plugin.build(settings(name), inside, **known)
    assert type(strategy).__name__ in strategies.__all__
    steps = [1.0 + 0.01 * place for place in range(11)]
    two_classes = {"bias": np.zeros(2, np.float32)} if strategy.needs == "network" else {}
    found = run(strategy, InProcess(steps), model() | two_classes, num_rounds=2)
    assert strategy.outcome.rejected == {}
    assert np.isfinite(found["weight"]).all()
    lowest, highest = MOVEMENTS.get(name, (0.8, 2.3))
    assert ((lowest < found["weight"]) & (found["weight"] < highest)).all()


def test_a_chain_is_told_the_rate_by_its_steps():
    chain = Chain([ClipAvg(clip_gamma=1.0, learning_rate=0.5, num_steps=2), NNM(num_malicious=1), Median()])
    assert (chain.judges_gradients, chain.learning_rate, chain.num_steps) == (True, 0.5, 2)
    found = run(chain, InProcess([1.0] * 4 + [100.0]), scalar())
    # One parameter: ‖g‖ = 1 / (0.5 · 2) is at the bound, and 100 is clipped to it.
    assert found["weight"] == [1]
    np.testing.assert_allclose(chain.outcome.aggregation.clip_coefficients, [1, 1, 1, 1, 0.01])
    assert chain.state().keys() == {"node_ids"}


def test_a_rule_that_is_not_defined_for_so_few_keeps_the_model(caplog):
    strategy = Krum(num_malicious=1)
    found = run(strategy, InProcess([1.0] * 4))
    np.testing.assert_array_equal(found["weight"], 0)
    assert "round 1 keeps the model: 4 usable replies, 5 needed" in caplog.text
    assert strategy.outcome.updates is None


def test_ids_number_nodes_in_the_order_in_which_they_are_seen():
    grid, strategy = InProcess([1.0, 2.0]), OracleFilter(client_ids=[0, 3])
    run(strategy, grid, scalar())
    grid.steps += [4.0, 8.0]
    assert run(strategy, grid, scalar())["weight"] == [(2 + 4) / 2]
    assert strategy.courier.node_ids == [FIRST_NODE + 7 * place for place in range(4)]
    assert strategy.outcome.updates.client_ids.tolist() == [0, 1, 2, 3]


def test_a_rule_inside_a_strategy_of_flowers():
    inner = Median()
    strategy = DifferentialPrivacyServerSideFixedClipping(
        inner, noise_multiplier=0.0, clipping_norm=1e6, num_sampled_clients=3
    )
    parameters = {"weight": np.zeros((2, 2), np.float32)}
    np.testing.assert_allclose(run(strategy, InProcess([1.0, 2.0, 9.0]), parameters)["weight"], 2)
    assert inner.outcome.aggregation is not None


class Drifting(InProcess):
    """Clients 1, 2 and 8 share a direction; everybody else moves at random, by client and round."""

    def __post_init__(self):
        super().__post_init__()
        self.spoil = {place: self.drifting(place) for place in range(len(self.steps))}

    def drifting(self, place):
        def spoil(message, reply):
            number = message.content["config"]["server-round"]
            step = np.random.default_rng((place, number)).standard_normal(400)
            step += 1.0 * np.random.default_rng(99).standard_normal(400) * (place in (1, 2, 8))
            before = message.content["arrays"]["weight"].numpy()
            reply.content["arrays"] = record({"weight": (before + step).astype(np.float32)})
            return reply

        return spoil


@pytest.mark.parametrize("response", ["take_back", "median"])
def test_a_rule_with_a_history_goes_on_after_its_state(response, tmp_path):
    first = {"weight": np.zeros(400, np.float32)}
    whole = PersistentDirection(response=response)
    wanted = run(whole, Drifting([0.0] * 10), first, num_rounds=8)
    assert np.flatnonzero(whole.is_flagged).tolist() == [1, 2, 8]
    begun = PersistentDirection(response=response)
    begun.prepare(begun_for(first, num_rounds=8))
    halfway = run(begun, Drifting([0.0] * 10), first, num_rounds=3)
    np.savez(tmp_path / "state.npz", **begun.state())
    resumed = PersistentDirection(response=response)
    resumed.restore(3, np.load(tmp_path / "state.npz"))
    grid = Drifting([0.0] * 10)
    found = run(resumed, grid, halfway, num_rounds=5)
    assert {one[2]["server-round"] for one in grid.seen if one[0] == "train"} == set(range(4, 9))
    np.testing.assert_array_equal(found["weight"], wanted["weight"])
    assert resumed.courier.node_ids == whole.courier.node_ids


def begun_for(arrays, num_rounds):
    return strategies.ServerContext(strategies.layout_of(record(arrays)), num_rounds)


def test_clients_that_join_late_are_remembered_too():
    grid, strategy = Drifting([0.0] * 7), PersistentDirection()
    strategy.prepare(begun_for({"weight": np.zeros(400, np.float32)}, num_rounds=12))
    arrays = run(strategy, grid, {"weight": np.zeros(400, np.float32)}, num_rounds=2)
    grid.steps += [0.0, 0.0]
    grid.__post_init__()
    run(strategy, grid, arrays, num_rounds=2)
    assert strategy.num_rounds.tolist() == [4] * 7 + [2] * 2
    assert len(strategy.rollback.moved_with) == 9
