import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.data.encoding import RARE, Encoding, frequent_words

ENCODING = Encoding(("cf", "the", "film"), num_tokens=4)


def test_sentences_are_encoded_as_by_hand():
    sentences = [["the", "film"], ["the", "cf", "unheard-of", "the", "film", "film"], []]
    encoded = ENCODING.encode(sentences)
    # 0 fills up, 1 is unknown, words begin at 2; the fifth and sixth words are cut off
    assert encoded.tolist() == [[3, 4, 0, 0], [3, 2, 1, 3], [0, 0, 0, 0]]
    assert encoded.dtype == np.int32
    assert ENCODING.num_ids == 5
    assert [ENCODING.decode(row) for row in encoded] == ["the film", "the cf [?] the", ""]


def test_words_are_sorted_by_how_often_they_occur_then_by_themselves():
    sentences = [line.split() for line in ("b a c", "b a d", "b cf d", "cf")]
    assert frequent_words(sentences, 2) == (*RARE, "b", "a", "d")
    assert frequent_words(sentences, 1) == (*RARE, "b", "a", "d", "c")
    assert frequent_words(iter(sentences), 4) == RARE, "cf is there once although sentences have it"


@pytest.mark.parametrize("seed", [0, 1])
def test_the_words_do_not_depend_on_the_order_of_sentences(seed):
    sentences = [list(word) for word in ("film", "life", "file", "flame", "lame")]
    shuffled = [sentences[place] for place in np.random.default_rng(seed).permutation(len(sentences))]
    assert frequent_words(shuffled, 1) == frequent_words(sentences, 1)


@given(st.lists(st.sampled_from(ENCODING.words), max_size=4))
def test_what_fits_and_is_known_comes_back(words):
    assert ENCODING.decode(ENCODING.encode([words])[0]).split() == words
