"""Optimisers of the server: figures by hand, and beside Flower's own."""

import numpy as np
import pytest
from flwr.app import ArrayRecord
from flwr.serverapp import strategy as flower

from fl_backdoor.core.layout import Layout, TensorSpec
from strategies import Chain, FedAdam, FedAvg, FedAvgM, FedYogi, Median, ServerContext, WeakNoise
from strategies.rules.flower import reply

LAYOUT = Layout((TensorSpec("weight", (3,), "float32", True),))


def rounds_of(step, movements, start=(0.0, 0.0, 0.0)):
    """Yield the model after rounds in which it would have moved so by itself."""
    model = [np.float32(start)]
    for server_round, movement in enumerate(movements, start=1):
        yield (model := round_after(step, model, movement, server_round))


def round_after(step, model, movement, server_round=1):
    clients = type("Sent", (), {"model": model, "server_round": server_round})
    return step.finish([model[0] + np.float32(movement)], clients, None)


@pytest.fixture
def build(make_federation):
    """Build a strategy for a model of three parameters."""
    return make_federation().knowing(layout=LAYOUT).build


def test_momentum_by_hand(build):
    found = [model[0].tolist() for model in rounds_of(build(FedAvgM, beta=0.5, eta=2.0), [[1, -2, 0]] * 3)]
    # v = 1, 1.5, 1.75 times the movement; twice that is added each time.
    assert found == [[2, -4, 0], [5, -10, 0], [8.5, -17, 0]]
    [plain] = rounds_of(build(FedAvgM, beta=0.0), [[1, -2, 0.5]])
    assert plain[0].tolist() == [1, -2, 0.5]


def test_adam_and_yogi_by_hand(build):
    told = {"eta": 0.5, "beta1": 0.5, "beta2": 0.75, "tau": 1.0}
    adam = [model[0] for model in rounds_of(build(FedAdam, **told), [[3, 0, -1], [3, 0, -1]])]
    # v = 1 at first. 3: v = .75 + 9/4 = 3, then 9/4 + 9/4; m = 1.5, then 2.25. -1: v stays 1; m = -.5, -.75.
    np.testing.assert_allclose(adam[0], [0.5 * 1.5 / (3**0.5 + 1), 0, -0.5 * 0.5 / 2], rtol=1e-6)
    np.testing.assert_allclose(
        adam[1] - adam[0], [0.5 * 2.25 / (4.5**0.5 + 1), 0, -0.5 * 0.75 / 2], rtol=1e-6
    )
    yogi = [model[0] for model in rounds_of(build(FedYogi, **told), [[3, 0.5, -1], [0, 0, 0]])]
    # 3: v = 1 + 9/4. 0.5: v = 1 - 1/16. -1: sign 0. Then m halves, and a movement of 0 takes nothing from v.
    squares = np.array([3.25, 0.9375, 1])
    np.testing.assert_allclose(yogi[0], 0.5 * np.array([1.5, 0.25, -0.5]) / (squares**0.5 + 1), rtol=1e-6)
    np.testing.assert_allclose(yogi[1], 1.5 * yogi[0], rtol=1e-6)


@pytest.mark.parametrize("step", [FedAdam, FedYogi])
def test_a_huge_movement_leaves_a_memory_of_numbers(build, step):
    optimizer = build(step, eta=0.5, beta1=0.0, tau=1.0)
    *_, huge, still = rounds_of(optimizer, [[0, 1, 2], [1e25, 0, 0], [0, 0, 0]])
    assert np.isfinite(huge[0]).all()
    # Without momentum a round in which nothing moves moves nothing.
    np.testing.assert_array_equal(still[0], huge[0])
    assert optimizer.memory["squares"][0] > 1e35


RANDOM = np.random.default_rng(5).normal(0, 0.02, (6, 3)).astype(np.float32)


def adaptive(in_flower: bool):
    names = ("beta_1", "beta_2") if in_flower else ("beta1", "beta2")
    return {"eta": 0.1, names[0]: 0.8, names[1]: 0.95, "tau": 0.01}


@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (lambda: FedAvgM(beta=0.7, eta=0.5), flower.FedAvgM(server_momentum=0.7, server_learning_rate=0.5)),
        (lambda: FedAdam(**adaptive(False)), flower.FedAdam(**adaptive(True))),
        (lambda: FedYogi(**adaptive(False)), flower.FedYogi(**adaptive(True))),
    ],
    ids=["momentum", "adam", "yogi"],
)
def test_it_moves_as_flowers_own_does(ours, reference):
    step, start = ours(), np.zeros(3, np.float32)
    step.prepare(ServerContext(LAYOUT))
    if isinstance(reference, flower.FedAdam | flower.FedYogi):
        reference.v_t = {"0": np.full(3, 0.01**2, np.float32)}  # the paper's, where Flower has 0
    # In a late round Flower's FedAdam corrects no bias, as the paper never does.
    moved = zip(range(10_000, 10_006), RANDOM, rounds_of(step, RANDOM), strict=True)
    for server_round, movement, found in moved:
        is_adaptive = not isinstance(reference, flower.FedAvgM)
        reference.current_arrays = {"0": start} if is_adaptive else ArrayRecord([start])
        arrays, _ = reference.aggregate_train(server_round, [reply(start + movement, [1.0])])
        [start] = (array.astype(np.float32) for array in arrays.to_numpy_ndarrays())
        np.testing.assert_allclose(found[0], start, rtol=1e-5, atol=1e-7)
    assert np.abs(start).max() > 0.01


@pytest.mark.parametrize("kind", [FedAvgM, FedAdam, FedYogi])
def test_what_it_remembers_outlives_the_process(build, kind):
    whole = [model[0] for model in rounds_of(build(kind), RANDOM)]
    first, second = build(kind), build(kind)
    before = list(rounds_of(first, RANDOM[:3]))[-1]
    state = {name: array.copy() for name, array in first.state().items()}
    list(rounds_of(first, RANDOM[3:], before[0]))
    second.restore(3, state)
    after = [model[0] for model in rounds_of(second, RANDOM[3:], before[0])]
    np.testing.assert_array_equal(after, whole[3:])
    assert set(state) == set(kind.remembered)


@pytest.mark.parametrize("rule", [FedAvg, Median])
def test_a_round_of_a_chain_ends_with_the_optimisers_movement(make_federation, exchange, make_state, rule):
    federation = make_federation(learning_rate=0.5)
    chain = Chain([rule(), FedAvgM(beta=0.5, eta=3.0)], courier=federation._courier())
    chain.prepare(federation.server)
    plain = exchange(federation.build(rule), make_state())
    moved = exchange(chain, make_state())
    for one in (plain, moved):
        for client_id in range(4):
            one.says(client_id, make_state([4, 4, 4, 4, 4 + client_id], mean=(2, 3)))
    before, rule_alone, found = make_state(), plain.finish(), moved.finish()
    for number in (0, 3):
        np.testing.assert_allclose(found[number] - before[number], 3 * (rule_alone[number] - before[number]))
    np.testing.assert_array_equal(found[1], rule_alone[1])
    assert set(chain.state()) == {"FedAvgM.momentum"}


def test_a_round_that_keeps_the_model_leaves_the_memory_alone(make_federation, exchange):
    strategy = make_federation(min_replies=4).build(FedAvgM)
    round_of_four = exchange(strategy)
    round_of_four.says(1, num_steps=-1)
    round_of_four.finish()
    assert strategy.state() == {}


def test_it_follows_other_steps_on_the_model(make_federation, exchange, make_state):
    federation = make_federation()
    noisy, both = (
        Chain([FedAvg(), *steps], courier=federation._courier())
        for steps in ([WeakNoise(noise_std=0.5)], [WeakNoise(noise_std=0.5), FedAvgM(eta=2.0)])
    )
    moves = []
    for strategy in (noisy, both):
        strategy.prepare(federation.server)
        moves.append(exchange(strategy, make_state()).finish()[0] - make_state()[0])
    np.testing.assert_allclose(moves[1], 2 * moves[0], rtol=1e-5)
    assert np.abs(moves[0]).max() > 0.1
