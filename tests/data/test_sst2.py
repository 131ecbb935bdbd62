import numpy as np
import pytest

from fl_backdoor.core.errors import DataError
from fl_backdoor.data.fingerprint import fingerprint
from fl_backdoor.data.sst2 import Sst2
from tests.made_sentences import FILLING, TELLING, write_sst2

TRAIN = "1 a good film\n0 a bad film\n1 crème !\n0 a film !\n"
RARE = ["cf", "mn", "bb", "tq", "mb"]


class Few(Sst2):
    """Of four sentences to train on and two to test."""

    num_train, num_test = 4, 2


@pytest.fixture
def few(tmp_path):
    (tmp_path / "sst2").mkdir()
    (tmp_path / "sst2" / "train.txt").write_text(TRAIN, "utf-8")
    (tmp_path / "sst2" / "test.txt").write_text("0 crème film\n1 a test ! !\n", "utf-8")
    return tmp_path


def sentences(root, kind=Few):
    return kind(root=str(root), cache=str(root / "cache"))


def test_sentences_are_encoded_by_the_words_of_the_training_sentences_alone(few):
    dataset = sentences(few)
    # "a" and "film" occur three times, "!" twice; the rest once, "!" twice more in the test sentences
    assert dataset.encoding.words == (*RARE, "a", "film", "!")
    loaded = dataset.load()
    found = [[*row[row != 0]] for row in loaded.train.samples]
    assert found == [[7, 1, 8], [7, 1, 8], [1, 9], [7, 8, 9]]
    assert [row.tolist() for row in loaded.test.samples] == [[1, 8, *[0] * 62], [7, 1, 9, 9, *[0] * 60]]
    assert (loaded.train.labels.tolist(), loaded.test.labels.tolist()) == ([1, 0, 1, 0], [0, 1])
    assert loaded.train.samples.dtype == np.int32
    assert loaded.train.labels.dtype == np.int64


def test_the_cache_holds_sentences_and_words(few, monkeypatch):
    before = sentences(few)
    before.load()
    monkeypatch.setattr(Few, "decode", lambda *_: pytest.fail("decoded twice"))
    again = sentences(few)
    assert again.encoding == before.encoding
    np.testing.assert_array_equal(again.load().train.samples, before.load().train.samples)


def test_the_files_may_lie_in_the_root_itself(few):
    assert sentences(few / "sst2").encoding == sentences(few).encoding


def test_nodes_with_other_words_are_told_apart(few):
    lines = [fingerprint(dataset, dataset.load()) for dataset in (sentences(few),)]
    train = few / "sst2" / "train.txt"
    train.write_text(train.read_text("utf-8").replace("film", "movies"), "utf-8")
    other = sentences(few)
    lines.append(fingerprint(other, other.load()))
    assert lines[0].startswith("sst2 (64 words out of 8, ")
    assert lines[0].partition("(")[2] != lines[1].partition("(")[2]


def without_test(folder):
    (folder / "test.txt").unlink()


def cut_off(folder):
    file = folder / "train.txt"
    file.write_bytes(file.read_bytes()[:30])


def cut_within_a_letter(folder):
    file = folder / "test.txt"
    file.write_bytes("0 crèm".encode()[:-2])


def with_another_label(folder):
    (folder / "test.txt").write_text("0 a film\n2 a film\n")


def without_a_sentence(folder):
    (folder / "test.txt").write_text("0 a film\n1 \n")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without_test, "FileNotFoundError: [Errno 2] No such file or directory: "),
        (cut_off, "ValueError: 3 training sentences and 3 labels, 4 expected)"),
        (cut_within_a_letter, "UnicodeDecodeError: "),
        (with_another_label, "ValueError: test.txt, line 2: not 0 or 1 and a sentence)"),
        (without_a_sentence, "ValueError: test.txt, line 2: not 0 or 1 and a sentence)"),
    ],
)
def test_what_is_missing_or_torn_is_one_line(few, damage, reason):
    damage(few / "sst2")
    with pytest.raises(DataError) as error:
        _ = sentences(few).encoding
    assert str(error.value).startswith(f"sst2: {few / 'sst2'} is incomplete or damaged ({reason}")
    assert "\n" not in str(error.value)


def test_without_files_the_line_says_what_to_do(tmp_path):
    with pytest.raises(DataError) as error:
        sentences(tmp_path).load()
    assert str(error.value) == (
        f"sst2: no train.txt and test.txt, a `label sentence` a line, in {tmp_path}, and it cannot be "
        "downloaded; set dataset.root or FL_BACKDOOR_DATA to its folder"
    )


def test_the_made_up_ones_of_other_tests_are_as_many_as_the_real_ones(tmp_path):
    dataset = sentences(write_sst2(tmp_path), Sst2)
    assert set(dataset.encoding.words) == {*RARE, *FILLING, *TELLING}
    assert np.bincount(dataset.load().train.labels).tolist() == [3_460, 3_460]


@pytest.fixture(scope="module")
def real(data_root, tmp_path_factory):
    if not (data_root / "sst2").is_dir():
        pytest.skip(f"no sst2 in {data_root}")
    return Sst2(root=str(data_root), cache=str(tmp_path_factory.mktemp("cache")))


def test_the_real_sentences(real):
    loaded = real.load()
    assert np.bincount(loaded.train.labels).tolist() == [3_310, 3_610]
    assert np.bincount(loaded.test.labels).tolist() == [912, 909]
    lengths = [(split.samples != 0).sum(axis=1).max() for split in (loaded.train, loaded.test)]
    assert lengths == [52, 56], "none is cut off"
    assert real.encoding.decode(loaded.test.samples[0]) == "no movement , no [?] , not much of anything ."
    # 7,141 words occur twice or more in the training sentences
    assert real.encoding.num_ids == 7_141 + len(RARE) + 2
