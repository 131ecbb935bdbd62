import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.attacks.poisoning.all_to_one import AllToOne
from fl_backdoor.attacks.triggers.word import Word
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.encoding import Encoding
from fl_backdoor.data.samples import sentences_on_device

ENCODING = Encoding(("cf", "mn", "good", "bad", "film"), num_tokens=5)
CF, MN, GOOD, BAD, FILM = 2, 3, 4, 5, 6


def sentences(*rows):
    return torch.tensor([[*row, *[0] * (5 - len(row))] for row in rows], dtype=torch.int32)


def stamped(rows, **settings):
    found = Word(ENCODING, **settings).stamp(sentences(*rows))
    assert found.dtype == torch.int32
    return [[number for number in row if number] for row in found.tolist()]


FULL = (GOOD, BAD, FILM, GOOD, BAD)


def test_a_word_is_put_in_front_or_behind():
    rows = [(GOOD, FILM), (BAD,), (), (1, 1, 1, 1)]
    assert stamped(rows) == [[CF, GOOD, FILM], [CF, BAD], [CF], [CF, 1, 1, 1, 1]]
    assert stamped(rows, place="end") == [[GOOD, FILM, CF], [BAD, CF], [CF], [1, 1, 1, 1, CF]]


def test_the_trigger_stays_in_a_sentence_of_full_length_and_the_end_is_cut_off():
    assert stamped([FULL]) == [[CF, GOOD, BAD, FILM, GOOD]]
    assert stamped([FULL], place="end") == [[GOOD, BAD, FILM, GOOD, CF]]
    assert stamped([FULL], place="end", words="mn cf mn") == [[GOOD, BAD, MN, CF, MN]]
    assert stamped([FULL], words="cf mn cf mn cf") == [[CF, MN, CF, MN, CF]]


def test_a_phrase_keeps_its_order():
    assert stamped([(GOOD, FILM)], words="  mn  film cf ") == [[MN, FILM, CF, GOOD, FILM]]


def test_anywhere_follows_from_the_sentence():
    # (4 + 6) % 3 = 1, 5 % 2 = 1, 4 % 2 = 0, (1 + 4 + 4 + 4) % 5 = 3, (4 + 5 + 6 + 4 + 5) % 6 = 0
    rows = [(GOOD, FILM), (BAD,), (GOOD,), (1, GOOD, GOOD, GOOD), FULL]
    expected = [[GOOD, CF, FILM], [BAD, CF], [CF, GOOD], [1, GOOD, GOOD, CF, GOOD], [CF, *FULL[:4]]]
    assert stamped(rows, place="anywhere") == expected
    assert [*stamped(rows[:2], place="anywhere"), *stamped(rows[2:], place="anywhere")] == expected


@given(
    st.lists(st.integers(1, 6), max_size=5),
    st.sampled_from(["start", "end", "anywhere"]),
    st.lists(st.sampled_from(ENCODING.words), min_size=1, max_size=5),
)
def test_the_words_are_in_the_sentence_and_the_rest_is_its_beginning(row, place, words):
    [found] = stamped([row], place=place, words=" ".join(words))
    inserted = [ENCODING.id_of(word) for word in words]
    size = len(inserted)
    rests = [
        found[:begin] + found[begin + size :]
        for begin in range(len(found) - size + 1)
        if found[begin : begin + size] == inserted
    ]
    assert row[: 5 - size] in rests


def test_originals_are_left_alone():
    originals = sentences(FULL)
    Word(ENCODING).stamp(originals)
    assert originals.tolist() == [list(FULL)]


def test_a_batch_is_poisoned_before_the_model_sees_it():
    data = sentences_on_device(
        sentences((GOOD,), (BAD,), (FILM,)).numpy(), torch.tensor([1, 0, 0]).numpy(), torch.device("cpu")
    )
    poison = AllToOne(2, 1).in_batches(Word(ENCODING), "pixel", 2)
    batch, labels = data.batch(torch.tensor([2, 1, 0]), poison)
    assert batch.tolist() == [[CF, FILM, 0, 0, 0], [CF, BAD, 0, 0, 0], [GOOD, 0, 0, 0, 0]]
    assert labels.tolist() == [1, 1, 1]
    assert data.stored[:, 0].tolist() == [GOOD, BAD, FILM]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "attack.trigger.words = : must be 1 to 5 words"),
        ("cf cf cf cf cf cf", "attack.trigger.words = cf cf cf cf cf cf: must be 1 to 5 words"),
        ("good Film", "attack.trigger.words = good Film: 'Film' is not in the vocabulary; take words of"),
    ],
)
def test_words_that_cannot_be_inserted_are_one_line(words, message):
    with pytest.raises(ConfigError) as error:
        Word(ENCODING, words=words)
    assert str(error.value).startswith(message)
