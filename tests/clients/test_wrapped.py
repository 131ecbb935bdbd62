"""Somebody else's clients, made malicious."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp

from clients import MaliciousClientApp, MaliciousNumPyClient, Turn, manipulated_arrays, manipulated_record
from fl_backdoor.attacks import Imitation, Manipulation, Noise, Scaling, Schedule
from fl_backdoor.core.errors import ConfigError, ReplyError

NAMES = ("weight", "norm.running_var", "norm.num_batches_tracked")


def received():
    return [np.float32([[1.0, 2.0]]), np.float32([1.0]), np.array(5)]


class Trains(NumPyClient):
    """Moves floating-point numbers by a step, in place, and counts on; says what it was told."""

    def __init__(self, step):
        self.step = step
        self.configs = []

    def fit(self, parameters, config):
        self.configs.append(config)
        for array in parameters:
            array[...] += self.step if array.dtype.kind == "f" else 1
        return parameters, 7, {"loss": self.step}

    def evaluate(self, parameters, config):
        return float(self.step), 7, {"who": self.step}

    def get_properties(self, config):
        return {"step": self.step}

    def get_parameters(self, config):
        return [np.float32([self.step])]


def lists(arrays):
    return [array.tolist() for array in arrays]


def test_a_numpy_client_trains_on_poison_and_scales_what_it_learnt():
    client = MaliciousNumPyClient(Trains(1), Trains(2), updates=[Scaling(factor=3.0)], names=NAMES)
    arrays, num_examples, metrics = client.fit(received(), {"server-round": 1})
    # The variance and the counter are sent as they were trained.
    assert lists(arrays) == [[[7.0, 8.0]], [3.0], 6]
    assert (num_examples, metrics) == (7, {"loss": 2})
    without_names = MaliciousNumPyClient(Trains(2), updates=[Scaling(factor=3.0)])
    assert lists(without_names.fit(received(), {"server_round": 1})[0]) == [[[7.0, 8.0]], [7.0], 6]


def test_in_other_rounds_and_in_all_else_it_is_the_honest_client():
    honest, poisoned = Trains(1), Trains(2)
    client = MaliciousNumPyClient(honest, poisoned, schedule=Schedule(2, 2), updates=[Scaling(factor=3.0)])
    sent = [client.fit(received(), {"server-round": number})[0][0].tolist() for number in (1, 2, 3)]
    assert sent == [[[2.0, 3.0]], [[7.0, 8.0]], [[2.0, 3.0]]]
    assert poisoned.configs == [{"server-round": 2}]
    assert client.evaluate(received(), {}) == (1.0, 7, {"who": 1})
    assert client.get_properties({}) == {"step": 1}
    assert lists(client.get_parameters({})) == [[1.0]]


def test_without_updates_nobody_needs_to_tell_the_round():
    assert lists(MaliciousNumPyClient(Trains(1), Trains(2)).fit(received(), {})[0])[0] == [[3.0, 4.0]]
    client = MaliciousNumPyClient(Trains(1), schedule=Schedule(2, None))
    with pytest.raises(ConfigError, match=r"^server-round = None: the server must tell the round"):
        client.fit(received(), {"lr": 0.1})


def test_a_mixture_trains_the_honest_client_too():
    client = MaliciousNumPyClient(Trains(1), Trains(5), updates=[Scaling(factor=2.0), Imitation(share=0.5)])
    # Half of 10, half of 1.
    assert lists(client.fit(received(), {"server-round": 1})[0])[0] == [[6.5, 7.5]]


def test_attackers_draw_noise_of_their_own():
    def sent(rank, server_round=1):
        client = MaliciousNumPyClient(
            Trains(2), updates=[Noise(ratio=1.0)], rank=rank, num_malicious=2, seed=4
        )
        return client.fit([np.zeros(50, np.float32)], {"server-round": server_round})[0][0]

    np.testing.assert_array_equal(sent(0), sent(0))
    assert not np.array_equal(sent(0), sent(1))
    assert not np.array_equal(sent(0), sent(0, 2))


class NeedsTheModelBefore(Manipulation):
    needs_previous_model = True

    def manipulated(self, update, knowledge):
        return update


@pytest.mark.parametrize("wrap", [MaliciousNumPyClient, MaliciousClientApp])
def test_what_only_the_bench_passes_on_is_refused(wrap):
    with pytest.raises(ConfigError, match=r"^updates = NeedsTheModelBefore: needs the model before"):
        wrap(Trains(1), updates=[NeedsTheModelBefore()])


def test_arrays_in_double_precision_are_sent_as_they_were_received():
    [sent] = manipulated_arrays([Scaling(factor=3.0)], [np.float64([2.0])], [np.float32([1.0])])
    assert sent.dtype == np.float32
    assert sent.tolist() == [4.0]


@pytest.mark.parametrize(
    ("trained", "arguments", "error", "message"),
    [
        ([np.float32([1, 2])], {}, ReplyError, r"has shape \(2,\), not \(1,\)"),
        ([np.float32([np.nan])], {}, ReplyError, "holds NaN"),
        ([], {}, ReplyError, "0 tensors instead of 1"),
        ([np.float32([1])], {"names": NAMES}, ConfigError, "^names = 3 names: must be 1"),
    ],
)
def test_a_model_of_another_kind_is_one_line(trained, arguments, error, message):
    with pytest.raises(error, match=message):
        manipulated_arrays([Scaling(factor=3.0)], trained, [np.float32([1.0])], **arguments)


def test_a_mixture_without_honest_training_is_one_line():
    with pytest.raises(ConfigError, match=r"^honest = None: must say what honest training gives"):
        manipulated_arrays([Imitation(share=0.5)], [np.float32([2.0])], [np.float32([1.0])])


def record(arrays, names=NAMES):
    return ArrayRecord(dict(zip(names, map(Array, arrays), strict=True)))


def test_a_record_keeps_its_names_and_statistics():
    trained = record([np.float32([[2.0, 2.0]]), np.float32([4.0]), np.array(6)])
    sent = manipulated_record([Scaling(factor=-10.0)], trained, record(received()), Turn(server_round=3))
    assert {name: array.numpy().tolist() for name, array in sent.items()} == {
        "weight": [[-9.0, 2.0]],
        "norm.running_var": [4.0],
        "norm.num_batches_tracked": 6,
    }
    sent = manipulated_record([Scaling(factor=2.0)], trained, record(received()), buffers=["weight"])
    assert [array.numpy().tolist() for array in sent.values()] == [[[2.0, 2.0]], [7.0], 6]
    with pytest.raises(ConfigError, match=r"^arrays = norm: must have the names of the model"):
        manipulated_record([], record(received(), ("weight", "norm", NAMES[2])), record(received()))


def app(step):
    """A ClientApp that trains as `Trains` does, remembers how often, and evaluates."""
    made = ClientApp()

    @made.train()
    @made.train("again")
    def train(message, context):
        before = int(context.state["seen"]["times"]) if "seen" in context.state else 0
        context.state["seen"] = MetricRecord({"times": before + 1})
        model = message.content["arrays"]
        arrays = Trains(step).fit([array.numpy().copy() for array in model.values()], {})[0]
        metrics = MetricRecord({"num-examples": 7, "times": before + 1})
        content = RecordDict({"model": record(arrays, list(model)), "metrics": metrics})
        return Message(content, reply_to=message)

    @made.evaluate()
    def evaluate(message, context):
        return Message(RecordDict({"metrics": MetricRecord({"step": step})}), reply_to=message)

    return made


@pytest.fixture
def ask(monkeypatch):
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)

    def asked(client, partition_id, server_round=1, kind="train", state=None, **more):
        config = ConfigRecord({"server-round": server_round})
        content = RecordDict({"arrays": record(received()), "config": config, **more})
        message = Message(content, dst_node_id=3, message_type=kind)
        place = {} if partition_id is None else {"partition-id": partition_id}
        return client(message, Context(1, 3, place, RecordDict() if state is None else state, {})).content

    return asked


def model_of(content):
    return [array.numpy().tolist() for array in content["model"].values()]


def test_the_malicious_nodes_of_an_app_attack_and_no_others(ask):
    client = MaliciousClientApp(app(1), app(2), partition_ids={0, 2}, updates=[Scaling(factor=3.0)])
    assert model_of(ask(client, 0)) == model_of(ask(client, 2)) == [[[7.0, 8.0]], [3.0], 6]
    assert model_of(ask(client, 1)) == [[[2.0, 3.0]], [2.0], 6]
    assert model_of(ask(client, 0, kind="train.again")) == [[[7.0, 8.0]], [3.0], 6]
    assert ask(client, 0, kind="evaluate")["metrics"]["step"] == 1


def test_they_take_turns_and_nodes_without_number_are_told(ask):
    client = MaliciousClientApp(app(1), app(2), partition_ids=[5, 3], schedule=Schedule(2, None, every=2))
    attacks = [
        [number for number in range(1, 6) if model_of(ask(client, place, number))[0] == [[3.0, 4.0]]]
        for place in (3, 5)
    ]
    assert attacks == [[2, 4], [3, 5]]
    with pytest.raises(ConfigError, match=r"^partition-id = None: a node needs one"):
        ask(client, None)
    alone = MaliciousClientApp(app(1), app(2))
    assert model_of(ask(alone, None))[0] == [[3.0, 4.0]]


def test_a_mixture_leaves_no_trace_in_what_a_node_remembers(ask):
    client = MaliciousClientApp(app(1), app(5), updates=[Imitation(share=0.5)])
    state = RecordDict()
    first, second = (ask(client, 0, state=state) for _ in range(2))
    assert model_of(first)[0] == [[4.0, 5.0]]
    assert [content["metrics"]["times"] for content in (first, second)] == [1, 2]


def test_a_message_with_two_models_is_one_line(ask):
    client = MaliciousClientApp(app(1), updates=[Scaling(factor=3.0)])
    with pytest.raises(ConfigError, match=r"^message = 2 ArrayRecords: must hold one, the model"):
        ask(client, 0, more=record(received()))
