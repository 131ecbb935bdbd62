"""Real Flower on real Ray: two simulations of one and of two workers serve all tests here."""

import threading

import numpy as np
import pytest
import ray._private.state

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import FlBackdoorError, NobodyAnswers, Stopped
from fl_backdoor.engine.simulation import Simulation, resources
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from tests.made_sentences import write_sst2

IMAGES = ["dataset=mnist5k"]
SMALL = ["num_rounds=2", "client.local_steps=2", "partition.num_clients=6"]
TEXT = ["dataset=sst2", "model=embedding", "attack/trigger=word", "attack.target_label=1", "attack.alpha=0.3"]
CLOCKS = {"train_seconds", "cpu_seconds", "aggregate_seconds", "evaluate_seconds"}


@pytest.fixture(scope="module", params=[2, 1])
def simulation(request):
    config = experiment(f"engine.num_workers={request.param}").config
    running = Simulation(resources(config))
    yield running
    running.close()


with_two_workers = pytest.mark.parametrize("simulation", [2], indirect=True)
"""Of what does not depend on how many workers there are."""


@pytest.fixture(scope="module")
def results():
    """What the first of the two simulations found, by test, for the second to be compared with."""
    return {}


def experiment(*overrides: str, samples: list[str] = IMAGES) -> Experiment:
    return Experiment(check(parse_whole(next(composed([*SMALL, *samples, *overrides])))[0]).config)


def run(simulation, *overrides, samples=IMAGES):
    """Return the rows of all rounds, of all clients, and the last model."""
    rounds, clients = [], []

    def on_round(finished):
        rounds.append(finished.row)
        clients.extend(finished.clients)

    wanted = experiment(*overrides, samples=samples)
    simulation.run(lambda grid: wanted.run(grid, on_round))
    return rounds, clients, list(wanted.model().values())


def without_clocks(rows):
    return [{key: value for key, value in row.items() if key not in CLOCKS} for row in rows]


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sst2")
    return [f"dataset.root={write_sst2(folder)}", f"dataset.cache={folder / 'cache'}"]


def test_text_gives_the_same_bits_whatever_the_number_of_workers(simulation, results, sentences):
    rounds, clients, model = run(simulation, samples=[*TEXT, *sentences])
    found = (without_clocks(rounds), without_clocks(clients), model)
    first = results.setdefault("text", found)
    assert found[:2] == first[:2]
    assert all(np.array_equal(a, b) for a, b in zip(model, first[2], strict=True))


@pytest.mark.parametrize(
    ("strategy", "model"), [("hybrid", "fl_backdoor.models.cnn.CNN"), ("iqr_filter", "tests.odd_models.Lazy")]
)
def test_the_same_seed_gives_the_same_bits_whatever_the_number_of_workers(
    simulation, results, strategy, model
):
    """What dropout leaves out in the second model included."""
    settings = [f"strategy={strategy}", f"model._target_={model}", "attack.alpha=0.3", "clients_per_round=5"]
    rounds, clients, model = run(simulation, *settings)
    found = (without_clocks(rounds), without_clocks(clients), model)
    first = results.setdefault(strategy, found)
    assert found[0] == first[0]
    assert found[1] == first[1]
    assert all(np.array_equal(a, b) for a, b in zip(model, first[2], strict=True))
    assert [row["server_round"] for row in rounds] == [0, 1, 2]
    assert len(clients) == 2 * 5


def test_a_server_with_samples_plays_clients_and_measures_on_the_whole_test_set(simulation, results):
    rounds, _, model = run(
        simulation, "strategy=persistent_direction", "strategy.num_virtual=3", "server.root_samples=50"
    )
    first = results.setdefault("virtual", (without_clocks(rounds), model))
    assert without_clocks(rounds) == first[0]
    assert all(np.array_equal(a, b) for a, b in zip(model, first[1], strict=True))
    right = [row["main_task_accuracy"] * 1000 for row in rounds]
    np.testing.assert_allclose(right, np.rint(right), atol=1e-6)


def test_who_watches_is_told_how_many_nodes_have_answered(simulation):
    steps = []
    wanted = experiment("num_rounds=1")
    simulation.run(lambda grid: wanted.run(grid, lambda _: None, on_step=lambda *step: steps.append(step)))
    assert {what for what, _, _ in steps} == {"nodes answered"}
    num_nodes = simulation.wanted.num_workers
    assert {to_do for _, _, to_do in steps} == {num_nodes}
    done = [done for _, done, _ in steps]
    assert done == sorted(done)
    assert done[-1] == num_nodes
    [node] = ray._private.state.available_resources_per_node().values()
    assert node.get("CPU", 0) == 0, "each of Ray's CPUs has its worker"


@with_two_workers
@pytest.mark.parametrize("model", ["fl_backdoor.models.cnn.CNN", "tests.small_models.with_buffers"])
def test_memory_and_messages_give_the_same_bits(simulation, model):
    """Buffers travel in messages in any case."""
    settings = [f"model._target_={model}", "strategy=iqr_filter", "attack.alpha=0.3"]
    by_memory, by_messages = (
        run(simulation, *settings, f"engine.exchange={way}") for way in ("auto", "messages")
    )
    assert without_clocks(by_memory[0]) == without_clocks(by_messages[0])
    assert without_clocks(by_memory[1]) == without_clocks(by_messages[1])
    assert all(np.array_equal(a, b) for a, b in zip(by_memory[2], by_messages[2], strict=True))


@with_two_workers
def test_a_model_is_not_touched_while_it_is_evaluated(simulation):
    """The next round trains meanwhile: its end must not show in the figures of this one."""
    alone, overlapped = (run(simulation, f"num_rounds={rounds}") for rounds in (1, 3))
    assert without_clocks(alone[0]) == without_clocks(overlapped[0][:2])
    assert without_clocks(alone[1]) == without_clocks(overlapped[1][: len(alone[1])])


@with_two_workers
def test_another_seed_gives_another_result(simulation):
    first, second = (run(simulation, "num_rounds=1", f"seed={seed}")[2] for seed in (1, 2))
    assert not np.array_equal(first[0], second[0])


@with_two_workers
def test_an_aggregated_model_is_the_mean_of_the_local_ones(simulation):
    """FedAvg of two clients by hand: each is run alone, from the same round and the same global model."""
    both = run(simulation, "num_rounds=1", "partition.num_clients=2", "attack.num_malicious=0")[2]
    wanted = experiment("num_rounds=1", "partition.num_clients=2", "attack.num_malicious=0")
    from fl_backdoor.federation.client_app import build_client
    from fl_backdoor.models.factory import state_arrays

    start = state_arrays(wanted.context.model)
    alone = [build_client(wanted.context, client).fit(start, {"server_round": 1})[0] for client in (0, 1)]
    for mean, first, second in zip(both, *alone, strict=True):
        np.testing.assert_allclose(mean, (first + second) / 2, rtol=1e-4, atol=1e-6)


@with_two_workers
@pytest.mark.parametrize(
    ("trigger", "reason"),
    [("RaisingBar", "RuntimeError: broken trigger"), ("NanBar", "train_loss = nan must be finite")],
)
def test_a_client_that_fails_costs_itself_its_place_and_nobody_else(simulation, trigger, reason):
    fault = f"attack.trigger._target_=tests.faults.{trigger}"
    rounds, clients, model = run(simulation, fault, "attack.alpha=0.3", "attack.num_malicious=2")
    assert [row["num_rejected"] for row in rounds[1:]] == [2, 2]
    assert [row["num_replies"] for row in rounds[1:]] == [4, 4]
    for row in clients:
        assert (row["rejected"] is not None and reason in row["rejected"]) == row["malicious"]
    assert all(np.isfinite(array).all() for array in model)


@with_two_workers
def test_a_run_in_which_no_reply_is_finite_has_diverged(simulation):
    rounds, clients, _ = run(simulation, "client.learning_rate=1e30")
    assert [row["num_rejected"] for row in rounds[1:]] == [6, 6]
    assert [row["diverged"] for row in rounds] == [None, *["no reply was finite: 6 of 6 refused"] * 2]
    assert all(row["rejected"] for row in clients)


def test_a_worker_that_dies_loses_a_round_and_is_back_in_the_next(simulation):
    rounds, clients, _ = run(
        simulation,
        "attack.trigger._target_=tests.faults.KillingBar",
        "attack.alpha=0.3",
        "attack.num_malicious=1",
        "attack.last_round=1",
        "num_rounds=3",
        "server.max_lost_rounds=2",  # with one worker nobody is left to answer in round 1
    )
    workers = simulation.wanted.num_workers
    assert rounds[1]["num_rejected"] == 6 // workers, "the clients that its node hosted"
    assert rounds[1]["model_updated"] is (workers == 2)
    assert [row["num_rejected"] for row in rounds[2:]] == [0, 0]
    died = [row for row in clients if row["server_round"] == 1 and row["rejected"]]
    assert all("its node failed" in row["rejected"] for row in died)


@with_two_workers
def test_flowers_own_strategies_run_under_the_same_metrics(simulation):
    krum = ["strategy=flower", "strategy.rule=Krum", "strategy.num_malicious=1"]
    rounds, clients, _ = run(simulation, *krum, "attack.num_malicious=1")
    last = [row for row in clients if row["server_round"] == 2]
    assert sorted(row["weight"] for row in last) == pytest.approx([0, 0, 0, 0, 0, 1], abs=1e-6)
    assert rounds[2]["num_filtered"] == 5


@with_two_workers
def test_a_run_that_nobody_answers_leaves_the_next_one_alone(simulation):
    def job(grid):
        raise NobodyAnswers("nobody has answered in round 1")

    with pytest.raises(NobodyAnswers):
        simulation.run(job)
    assert [row["server_round"] for row in run(simulation, "num_rounds=1")[0]] == [0, 1]


def test_a_run_ends_when_it_is_asked_to(simulation):
    """Last: a simulation that was asked to stop takes no further runs."""
    seen = []
    wanted = experiment("num_rounds=1000")

    def on_round(finished):
        seen.append(finished.row["server_round"])
        if seen[-1] == 1:
            simulation._stop.set()

    with pytest.raises(Stopped):
        simulation.run(lambda grid: wanted.run(grid, on_round))
    # Round 2 was already under way; at most that one was still finished.
    assert seen in ([0, 1], [0, 1, 2])
    assert threading.active_count() > 1


def test_a_long_path_of_temporary_files_is_no_place_for_rays_sockets(monkeypatch, tmp_path):
    from fl_backdoor.engine import local_ray

    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/scratch")
    assert local_ray.folder_of_sockets() == "/scratch/ray"
    monkeypatch.setenv("TMPDIR", f"/scratch/{'x' * 91}")
    assert local_ray.folder_of_sockets() in local_ray.SHORT_FOLDERS
    monkeypatch.setattr(local_ray, "SHORT_FOLDERS", (str(tmp_path / "missing" / "ray"),))
    with pytest.raises(FlBackdoorError, match=r"xx/ray is too long a path .* at most 39 bytes$"):
        local_ray.folder_of_sockets()
