import numpy as np
import pytest
import torch

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.data.encoding import Encoding
from fl_backdoor.data.samples import sentences_on_device
from fl_backdoor.models.factory import build_model, layout_of, state_arrays
from fl_backdoor.training.precision import logits_of
from fl_backdoor.training.trainer import Trainer

TEXT = {"encoding": Encoding(("cf", "good", "bad", "film"), num_tokens=5)}
EMBEDDING = {"_target_": "fl_backdoor.models.embedding.MeanEmbedding"}


def model(dimension: int = 2, seed: int = 0):
    return build_model({**EMBEDDING, "dimension": dimension}, TEXT, 2, seed)


def by_hand():
    """Embeddings (1, 10), (2, 20) … of numbers 1, 2, …; a row of padding that a defence has moved."""
    built = model()
    rows = [[1000.0, -1000.0], *([number, 10.0 * number] for number in range(1, 6))]
    with torch.no_grad():
        built.embedding.weight.copy_(torch.tensor(rows))
        built.classifier.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        built.classifier.bias.copy_(torch.tensor([0.5, 0.0]))
    return built


def test_logits_are_those_of_the_mean_over_words_whatever_the_padding():
    sentences = torch.tensor([[2, 5, 0, 0, 0], [3, 3, 3, 3, 3], [1, 0, 0, 0, 0], [0] * 5], dtype=torch.int32)
    # means: (2 + 5) / 2 = 3.5, 3, 1, and nothing of an empty sentence
    assert by_hand()(sentences).tolist() == [[4.0, 35.0], [3.5, 30.0], [1.5, 10.0], [0.5, 0.0]]
    longer = torch.nn.functional.pad(sentences, (0, 7))
    assert torch.equal(by_hand()(longer), by_hand()(sentences))


def test_a_gradient_reaches_the_words_of_the_sentence_alone():
    built = by_hand()
    built(torch.tensor([[2, 5, 5, 0, 0]], dtype=torch.int32))[0, 0].backward()
    # one of three words, two of three; the logit is the first coordinate
    expected = [[0, 0], [0, 0], [1 / 3, 0], [0, 0], [0, 0], [2 / 3, 0]]
    np.testing.assert_allclose(built.embedding.weight.grad.numpy(), expected, rtol=1e-6)


def test_parameters_are_counted_by_hand():
    # 6 numbers of 32, and 2 * 32 + 2
    assert layout_of(model(32)).num_params == 6 * 32 + 66


def test_weights_follow_from_the_seed():
    first, again, other = (state_arrays(model(seed=seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_gives_the_same_bits_whatever_the_number_of_threads(precision):
    tokens = np.random.default_rng(0).integers(0, 6, (64, 5), dtype=np.int32)
    data = sentences_on_device(tokens, np.arange(64) % 2, torch.device("cpu"))
    found, threads = [], torch.get_num_threads()
    for num_threads in (1, 2):
        torch.set_num_threads(num_threads)
        trainer = Trainer(model(8), ClientConfig(1.0, 0.9, 0.0, 16, 2), precision)
        trainer.train(data, torch.Generator().manual_seed(1))
        found.append(state_arrays(trainer.model))
    torch.set_num_threads(threads)
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
    assert not np.array_equal(found[0][0], state_arrays(model(8))[0])


def test_bf16_takes_integers_and_gives_nearly_the_same_logits():
    sentences = torch.tensor([[2, 5, 0, 0, 0]], dtype=torch.int32)
    rounded = logits_of(by_hand(), sentences, "bf16")
    assert rounded.dtype == torch.float32
    np.testing.assert_allclose(rounded.detach().numpy(), [[4.0, 35.0]], rtol=1e-2)
