"""The logic around a recorded step on the CPU, where recording is a stand-in, and the real thing on a GPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fl_backdoor.attacks.poisoning.all_to_one import AllToOne
from fl_backdoor.attacks.triggers.bar import Bar
from fl_backdoor.attacks.triggers.word import Word
from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.data.encoding import Encoding
from fl_backdoor.data.samples import CLEAN, images_on_device, sentences_on_device
from fl_backdoor.models.factory import build_model, state_arrays
from fl_backdoor.training.cuda_graph import RecordedStep
from fl_backdoor.training.trainer import Trainer

SHAPE = (3, 8, 8)
TEXT = {"encoding": Encoding(("cf", "a", "b", "c", "d", "e", "f"), 7)}
SETTINGS = ClientConfig(0.05, 0.9, 1e-3, 8, 2)
BAR = Bar(SHAPE, rows=(1, 6), columns=(2, 3))
ALL_TO_5 = AllToOne(10, 5)


class Recorder:
    """Takes the step twice, as a warm-up and a recording would, and counts."""

    def __init__(self):
        self.recordings = self.replays = 0

    def __call__(self, work):
        self.recordings += 1
        work()
        work()

        def replay():
            self.replays += 1
            work()

        return replay


class Tape(Recorder):
    """Keeps a step's operations with the numbers and the memory that they had, as a CUDA graph does."""

    def __call__(self, work):
        self.recordings += 1
        calls = []
        with Listener(calls):
            work()

        @torch.no_grad()
        def replay():
            self.replays += 1
            for operation, args, kwargs, results in calls:
                again = tree_leaves(operation(*args, **kwargs))
                for kept, found in zip(results, again, strict=True):
                    if isinstance(kept, torch.Tensor) and kept.data_ptr() != found.data_ptr():
                        kept.copy_(found)

        return replay


class Listener(TorchDispatchMode):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        self.calls.append((operation, args, kwargs or {}, tree_leaves(result)))
        return result


def images(device="cpu"):
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 256, (60, *SHAPE), dtype=np.uint8)
    return images_on_device(pixels, np.arange(60) % 10, (0.5,) * 3, (0.25,) * 3, torch.device(device))


def cnn():
    return build_model({"_target_": "fl_backdoor.models.cnn.CNN"}, {"image_shape": SHAPE}, 10, seed=0)


def with_buffers(dropout=0.0):
    torch.manual_seed(0)
    features = [nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(72, 10))


def embedding():
    return build_model({"_target_": "fl_backdoor.models.embedding.MeanEmbedding"}, TEXT, 10, seed=0)


def sentences(device="cpu"):
    tokens = np.random.default_rng(1).integers(0, 9, (60, 7), dtype=np.int32)
    return sentences_on_device(tokens, np.arange(60) % 10, torch.device(device))


def with_dropout():
    return with_buffers(0.5)


def train(trainer, data, rows, poison=CLEAN, make=cnn):
    trainer.model.load_state_dict(make().state_dict())
    torch.manual_seed(3)
    result = trainer.train(data.select(rows), torch.Generator().manual_seed(5), poison)
    return state_arrays(trainer.model), result


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("make", [cnn, with_buffers, with_dropout])
def test_a_recorded_step_trains_as_the_plain_one_bit_for_bit(make):
    data, recorder = images(), Recorder()
    plain, recorded = Trainer(make(), SETTINGS), Trainer(make(), SETTINGS, record=recorder)
    for rows in (np.arange(20), np.arange(20, 60)):
        expected, result = train(plain, data, rows, make=make)
        found, recorded_result = train(recorded, data, rows, make=make)
        assert same(found, expected)
        assert recorded_result == result
    assert recorder.recordings == 1, "clients share the step"
    # 20 samples are 2 full batches of 8 and one of 4, which is not replayed; 40 are 5; two epochs each
    assert recorder.replays == 2 * 2 + 2 * 5


def test_a_recorded_step_on_sentences_is_the_plain_one_with_and_without_the_trigger():
    data, recorder, word = sentences(), Recorder(), Word(**TEXT)
    plain, recorded = Trainer(embedding(), SETTINGS), Trainer(embedding(), SETTINGS, record=recorder)
    for poison in (CLEAN, ALL_TO_5.in_batches(word, "pixel", 2)):
        expected = train(plain, data, np.arange(60), poison, embedding)[0]
        assert same(train(recorded, data, np.arange(60), poison, embedding)[0], expected)
    assert recorder.recordings == 2


def test_each_poison_has_a_step_of_its_own_that_attackers_share():
    data, recorder = images(), Recorder()
    trainer = Trainer(cnn(), SETTINGS, record=recorder)
    for num_stamped in (2, 2, 3):
        poison = ALL_TO_5.in_batches(BAR, "pixel", num_stamped)
        expected = train(Trainer(cnn(), SETTINGS), data, np.arange(16), poison)[0]
        assert same(train(trainer, data, np.arange(16), poison)[0], expected)
        train(trainer, data, np.arange(16))
    assert recorder.recordings == 3


def test_old_recordings_make_room():
    data, recorder = images(), Recorder()
    trainer = Trainer(cnn(), SETTINGS, record=recorder)
    for num_stamped in (1, 2, 3, 4, 5, 5, 1):
        train(trainer, data, np.arange(8), ALL_TO_5.in_batches(BAR, "pixel", num_stamped))
    assert recorder.recordings == 6


def test_fewer_samples_than_a_batch_are_not_recorded():
    recorder = Recorder()
    train(Trainer(cnn(), SETTINGS, record=recorder), images(), np.arange(7))
    assert recorder.recordings == 0


def test_a_recorded_step_has_the_learning_rate_of_its_round():
    data, tape = images(), Tape()
    plain, recorded = Trainer(cnn(), SETTINGS), Trainer(cnn(), SETTINGS, record=tape)
    found = []
    for factor in (1.0, 0.5, 0.5):
        plain.rate_factor = recorded.rate_factor = factor
        found.append(train(recorded, data, np.arange(8))[0])
        assert same(found[-1], train(plain, data, np.arange(8))[0])
    assert (tape.recordings, tape.replays) == (2, 3 * 2), "it is recorded when it changes"
    assert not same(found[0], found[1])


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": "adam", "momentum": 0.0, "learning_rate": 0.01},
        {"optimizer": "adamw", "momentum": 0.0, "learning_rate": 0.01, "max_grad_norm": 0.1},
        {"nesterov": True, "label_smoothing": 0.1, "max_grad_norm": 0.5},
        {"proximal_mu": 2.0},
    ],
)
def test_every_optimiser_is_recorded_and_fedprox(changed):
    data, tape = images(), Tape()
    wanted = replace(SETTINGS, **changed)
    plain, recorded = Trainer(cnn(), wanted), Trainer(cnn(), wanted, record=tape)
    for rows in (np.arange(16), np.arange(16, 24)):
        expected, found = (train(trainer, data, rows) for trainer in (plain, recorded))
        assert same(found[0], expected[0])
        assert found[1] == expected[1]
    assert (tape.recordings, tape.replays) == (1, 2 * 2 + 2)
    assert not same(found[0], train(Trainer(cnn(), SETTINGS), data, rows)[0])


def test_recording_leaves_the_state_as_it_was():
    total = torch.tensor(3)
    places = [torch.zeros(2, dtype=torch.int64)]
    step = RecordedStep(lambda indices: total.add_(indices.sum()), places, [total], Recorder())
    assert total == 3
    step(torch.tensor([4, 5]))
    step(torch.tensor([1, 1, 1]))
    assert total == 3 + 9 + 3


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("make", [cnn, with_buffers])
def test_a_cuda_graph_trains_as_the_eager_loop(make, precision):
    data = images("cuda")
    graph = Trainer(make().cuda(), SETTINGS, precision)
    eager = Trainer(make().cuda(), SETTINGS, precision, record=Recorder())
    for poison in (CLEAN, ALL_TO_5.in_batches(BAR, "pixel", 2), CLEAN):
        for rows in (np.arange(20), np.arange(20, 60)):
            found, result = train(graph, data, rows, poison, make)
            expected, eager_result = train(eager, data, rows, poison, make)
            assert same(found, expected)
            assert result == eager_result


@needs_gpu
@pytest.mark.parametrize("changed", [{"nesterov": True}, {"optimizer": "adam", "momentum": 0.0}])
def test_a_cuda_graph_has_the_optimiser_and_the_rate_of_the_eager_loop(changed):
    data, wanted = images("cuda"), replace(SETTINGS, **changed, max_grad_norm=1.0, label_smoothing=0.1)
    graph = Trainer(cnn().cuda(), wanted)
    eager = Trainer(cnn().cuda(), wanted, record=Recorder())
    for factor in (1.0, 0.5, 1.0):
        graph.rate_factor = eager.rate_factor = factor
        found, expected = (train(trainer, data, np.arange(40)) for trainer in (graph, eager))
        assert same(found[0], expected[0])
        assert found[1] == expected[1]


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_cuda_graph_trains_on_sentences_as_the_eager_loop(precision):
    data, word = sentences("cuda"), Word(**TEXT).cuda()
    graph = Trainer(embedding().cuda(), SETTINGS, precision)
    eager = Trainer(embedding().cuda(), SETTINGS, precision, record=Recorder())
    for poison in (CLEAN, ALL_TO_5.in_batches(word, "pixel", 2)):
        found, result = train(graph, data, np.arange(60), poison, embedding)
        expected, eager_result = train(eager, data, np.arange(60), poison, embedding)
        assert same(found, expected)
        assert result == eager_result


@needs_gpu
def test_a_gpu_trains_as_the_processor_does():
    rows = np.arange(40)
    found = train(Trainer(cnn().cuda(), SETTINGS), images("cuda"), rows)[0]
    expected = train(Trainer(cnn(), SETTINGS), images(), rows)[0]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-4)
