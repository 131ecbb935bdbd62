import pandas as pd
import pytest

from fl_backdoor.core.errors import ConfigError, DataError, FlBackdoorError
from fl_backdoor.data.encoding import RARE, frequent_words
from fl_backdoor.data.text_table import TextTable
from fl_backdoor.data.words import words_of
from fl_backdoor.testing import check_dataset
from tests.data.test_presets import preset
from tests.made_archives import NEWS, write_ag_news, write_imdb, write_sentiment140

USERS = {"ann": 12, "bob": 8, "cy": 4}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It&#39;s  GOOD, isn't it?", ["it's", "good", ",", "isn't", "it", "?"]),
        ("a<br /><br />b</p>c <3 d> e", ["a", "b", "c", "<", "3", "d", ">", "e"]),
        ("&lt;b&gt;Crème\nbrûlée #1", ["crème", "brûlée", "#", "1"]),
        ("  ", [""]),
    ],
)
def test_words(text, words):
    assert words_of(text) == words


def test_a_vocabulary_may_be_cut_off():
    sentences = [["b", "a", "cf"], ["a", "b", "c"], ["a"]]
    assert frequent_words(sentences, 1) == (*RARE, "a", "b", "c")
    assert frequent_words(sentences, 1, 2) == (*RARE, "a", "b")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("ag_news", write_ag_news),
        ("imdb", write_imdb),
        ("sentiment140", lambda root: write_sentiment140(root, USERS)),
    ],
)
def test_it_is_a_data_set_like_any_other(name, write, tmp_path):
    write(tmp_path)
    check_dataset(lambda cache: preset(name, tmp_path, cache), tmp_path / "empty")


def texts(dataset, split):
    return [dataset.encoding.decode(row) for row in split.samples]


def test_ag_news_is_title_and_description(tmp_path):
    write_ag_news(tmp_path)
    dataset = preset("ag_news", tmp_path)
    loaded = dataset.load()
    assert dataset.class_names == ("World", "Sports", "Business", "Sci/Tech")
    assert loaded.train.labels.tolist() == [0, 1, 2, 3] * 3
    said = [f'of the {word} it is said , " the {word} " goes on' for word in NEWS.values()]
    assert (texts(dataset, loaded.train), texts(dataset, loaded.test)) == (said * 3, said)


def test_imdb_is_parquet_and_its_unlabelled_reviews_are_left_alone(tmp_path):
    write_imdb(tmp_path)
    dataset = preset("imdb", tmp_path)
    assert texts(dataset, dataset.load().train)[:2] == [
        "a bad film . isn't it ?",
        "a good film . isn't it ?",
    ]
    assert (dataset.load().test.labels.tolist(), dataset.num_train) == ([1, 0], 4)


def test_sentiment140_is_latin_1_and_its_neutral_tweets_are_left_out(tmp_path):
    write_sentiment140(tmp_path, USERS)
    dataset = preset("sentiment140", tmp_path)
    loaded = dataset.load()
    assert loaded.train.labels.tolist() == [0, 1] * 12
    assert loaded.test.labels.tolist() == [1, 0]
    assert texts(dataset, loaded.train)[:2] == ["@ ann café bad", "@ ann café good"]
    ids = dataset.natural_ids("user")
    assert ids.tolist() == [0] * 12 + [1] * 8 + [2] * 4


def mails(root, rows, name="train.csv"):
    """A table of a user's own, with names in its first line."""
    (root / "mails").mkdir(exist_ok=True)
    frame = pd.DataFrame(rows, columns=["from", "body", "kind"])
    if name.endswith("parquet"):
        frame.to_parquet(root / "mails" / name)
    else:
        frame.to_csv(root / "mails" / name, index=False, sep="\t" if name.endswith("tsv") else ",")


def table(root, **settings):
    given = {"folder": "mails", "text": ["body"], "label": "kind", "root": str(root), "min_count": 1}
    return TextTable(**{**given, "cache": str(root / "cache"), **settings})


ROWS = [("ann", "buy one", "spam"), ("bob", "hello you", "ham"), ("ann", "buy two", "spam")]


def test_the_vocabulary_is_of_the_training_texts_alone(tmp_path):
    mails(tmp_path, ROWS)
    mails(tmp_path, [("cy", "buy unseen", "ham")], "test.csv")
    dataset = table(tmp_path)
    assert dataset.encoding.words == (*RARE, "buy", "hello", "one", "two", "you")
    assert texts(dataset, dataset.load().test) == ["buy [?]"]
    assert dataset.class_names == ("ham", "spam")


def test_texts_that_are_held_back_give_no_words_and_no_ids(tmp_path):
    rows = [(f"user{row}", f"word{row}", "ab"[row % 2]) for row in range(20)]
    mails(tmp_path, rows)
    dataset = table(tmp_path, test=None, test_share=0.2)
    loaded, ids = dataset.load(), dataset.natural_ids("from")
    assert (len(loaded.train.labels), len(loaded.test.labels)) == (16, 4)
    assert texts(dataset, loaded.test) == ["[?]"] * 4
    users = sorted(text.replace("word", "user") for text in texts(dataset, loaded.train))
    assert [users[number].replace("user", "word") for number in ids] == texts(dataset, loaded.train)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_files_of_each_kind_are_read_in_the_order_of_their_names(tmp_path, suffix):
    mails(tmp_path, ROWS[:1], f"train-0.{suffix}")
    mails(tmp_path, ROWS[1:], f"train-1.{suffix}")
    mails(tmp_path, ROWS[:1], f"test.{suffix}")
    dataset = table(tmp_path, train=f"train-*.{suffix}", test=f"test.{suffix}")
    assert texts(dataset, dataset.load().train) == ["buy one", "hello you", "buy two"]
    assert dataset.natural_ids("from").tolist() == [0, 1, 0]


def test_each_setting_and_each_change_has_a_cache_of_its_own(tmp_path):
    mails(tmp_path, ROWS)
    mails(tmp_path, ROWS, "test.csv")
    assert table(tmp_path, num_tokens=1).load().train.samples.shape == (3, 1)
    assert table(tmp_path, max_words=1).encoding.words == (*RARE, "buy")
    both = table(tmp_path, text=["from", "body"]).encoding.words
    assert both == (*RARE, "ann", "buy", "bob", "hello", "one", "two", "you")
    mails(tmp_path, ROWS[:2])
    assert table(tmp_path, num_tokens=1).load().train.samples.shape == (2, 1)
    assert len(list((tmp_path / "cache").glob("texts_mails-*"))) == 4


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"train": "../train.csv"}, "dataset.train = ../train.csv: must name files in dataset.folder"),
        ({"test": "/etc/*.csv"}, "dataset.test = /etc/*.csv: must name files in dataset.folder"),
        (
            {"text": ["words"]},
            "dataset.text = words: no such column in {root}/mails/train.csv; its columns: from, ",
        ),
        (
            {"label": "class"},
            "dataset.label = class: no such column in {root}/mails/train.csv; its columns: from, ",
        ),
        (
            {"test": None},
            "dataset.test_share = None: without dataset.test: set dataset.test_share=0.2 to hold ",
        ),
        ({"test_share": 0.5}, "dataset.test_share = 0.5: leave this out, or set dataset.test=null"),
        ({"test": "dev.csv"}, "dataset.test: no texts in {root}/mails/dev.csv"),
        ({"classes": ["good"]}, "dataset.classes = ['good']: must name each of dataset.values"),
        (
            {"encoding": "latin-99"},
            "dataset.encoding = latin-99: must be utf-8, latin-1 or another that Python",
        ),
        (
            {"encoding": "ascii"},
            "dataset.encoding: {root}/mails/train.csv is not ascii (ordinal not in range",
        ),
        (
            {"train": "test.csv", "test": "train.csv"},
            "dataset.label = kind: there are test texts of the class 'spam', and none to train on; name ",
        ),
        (
            {"train": "mails.csv"},
            "texts_mails: no mails/mails.csv in {root}, and dataset.download is false; set ",
        ),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, settings, expected):
    mails(tmp_path, [*ROWS, ("dé", "é", "ham")])
    mails(tmp_path, ROWS[1:2], "test.csv")
    with pytest.raises((ConfigError, DataError)) as error:
        table(tmp_path, **settings).load()
    assert isinstance(error.value, FlBackdoorError)
    assert str(error.value).startswith(expected.format(root=tmp_path))
    assert "\n" not in str(error.value)


def test_a_column_of_ids_that_is_not_there_is_one_line(tmp_path):
    mails(tmp_path, ROWS)
    mails(tmp_path, ROWS, "test.csv")
    with pytest.raises(ConfigError) as error:
        table(tmp_path).natural_ids("user")
    assert str(error.value) == (
        f"partition.column = user: no column of whole numbers or text in {tmp_path}/mails/train.csv; "
        "its columns: from, body, kind"
    )
