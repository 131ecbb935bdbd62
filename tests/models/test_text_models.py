"""The LSTM and the Transformer: parameters by hand, padding counts for nothing, and bits that last."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.data.encoding import Encoding
from fl_backdoor.data.samples import sentences_on_device
from fl_backdoor.models.factory import build_model, layout_of, load_arrays, state_arrays
from fl_backdoor.training.precision import logits_of
from fl_backdoor.training.trainer import Trainer, predict

CHOICES = Path(__file__).parents[2] / "conf" / "model"
SMALL = {"lstm": {"dimension": 8, "hidden": 6}, "transformer": {"dimension": 8}}
NAMES = sorted(SMALL)
WORDS = tuple(f"word{number}" for number in range(10))
SENTENCES = torch.tensor([[2, 5, 3, 0, 0, 0], [4, 4, 7, 9, 11, 1], [6, 0, 0, 0, 0, 0]], dtype=torch.int32)


def built(name: str, seed: int = 0, words: tuple[str, ...] = WORDS, num_tokens: int = 6, **settings: object):
    spec = yaml.safe_load((CHOICES / f"{name}.yaml").read_text(encoding="utf-8"))
    return build_model({**spec, **settings}, {"encoding": Encoding(words, num_tokens)}, 2, seed)


def small(name: str, seed: int = 0, **settings: object):
    return built(name, seed, **{**SMALL[name], **settings})


def test_parameters_on_sst2_are_counted_by_hand():
    words = tuple(map(str, range(7146)))
    # embeddings; in each layer four gates of 200 from 200 inputs, 200 states and two biases; the head
    lstm = 7148 * 200 + 2 * 4 * 200 * (200 + 200 + 2) + 201 * 2
    assert layout_of(built("lstm", words=words, num_tokens=64)).num_params == lstm == 2_073_202
    # attention's four maps, two dense layers, two norms in each layer; token, places; last norm and head
    layer = 4 * 129 * 128 + 129 * 512 + 513 * 128 + 2 * 2 * 128
    transformer = 7148 * 128 + 128 + 65 * 128 + 2 * layer + 2 * 128 + 129 * 2
    assert layout_of(built("transformer", words=words, num_tokens=64)).num_params == transformer == 1_320_450


@pytest.mark.parametrize("name", NAMES)
def test_padding_counts_for_nothing(name):
    model = small(name).eval()
    with torch.inference_mode():
        logits = model(SENTENCES)
        torch.testing.assert_close(model(SENTENCES[:1, :3]), logits[:1])
        torch.testing.assert_close(model(SENTENCES[2:, :1]), logits[2:])
        model.embedding.weight[0] = 1000.0  # where a defence has moved it
        torch.testing.assert_close(model(SENTENCES), logits)
        assert model(torch.zeros_like(SENTENCES)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_sentence_has_logits_that_no_word_moves(name):
    model = small(name).eval()
    empty = torch.zeros_like(SENTENCES)
    with torch.inference_mode():
        before = model(empty)
        model.embedding.weight += 1.0
        assert torch.equal(model(empty), before)


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_reaches_the_words_of_the_sentence_alone(name):
    model = small(name, dropout=0.0)
    model(SENTENCES[:1])[0, 0].backward()
    assert model.embedding.weight.grad.abs().sum(dim=1).nonzero().flatten().tolist() == [2, 3, 5]


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_words_counts(name):
    model = small(name).eval()
    turned = torch.tensor([[3, 5, 2, 0, 0, 0]], dtype=torch.int32)
    with torch.inference_mode():
        assert not torch.allclose(model(turned), model(SENTENCES[:1]), rtol=1e-4)


def test_the_lstm_is_that_of_packed_sentences():
    model = small("lstm").eval()
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        model.embedding(SENTENCES), torch.tensor([3, 6, 1]), batch_first=True, enforce_sorted=False
    )
    _, (states, _) = model.lstm(packed)
    torch.testing.assert_close(model(SENTENCES), model.classifier(states[-1]))


def train(model: torch.nn.Module, precision: str, seed: int = 1) -> None:
    tokens = np.random.default_rng(0).integers(1, 12, (33, 6), dtype=np.int32)
    tokens[::2, 4:] = 0
    data = sentences_on_device(tokens, np.arange(33) % 2, torch.device("cpu"))
    torch.manual_seed(seed)
    Trainer(model, ClientConfig(0.1, 0.9, 0.0, 16, 1), precision).train(
        data, torch.Generator().manual_seed(seed)
    )
    predict(model, data, 16)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_drops_out_goes_on_bit_for_bit(name, precision):
    model, rested = (small(name, seed, dropout=0.5) for seed in (0, 1))
    train(model, precision)
    load_arrays(rested, state_arrays(model))
    found = []
    for goes_on in (model, rested):
        torch.rand(7)  # what happens elsewhere in a worker
        train(goes_on, precision, seed=2)
        found.append(state_arrays(goes_on))
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
    assert not np.array_equal(found[0][0], state_arrays(small(name))[0])


@pytest.mark.parametrize("name", NAMES)
def test_bf16_gives_nearly_the_same_logits(name):
    model = small(name).eval()
    with torch.inference_mode():
        rounded = logits_of(model, SENTENCES, "bf16")
        assert rounded.dtype == torch.float32
        torch.testing.assert_close(rounded, model(SENTENCES), rtol=0.05, atol=0.02)


def test_heads_that_do_not_share_out_the_dimension_are_one_line():
    with pytest.raises(Exception, match="dimension must be a multiple of the 3 heads, not 8") as error:
        small("transformer", heads=3)
    assert "\n" not in str(error.value)
