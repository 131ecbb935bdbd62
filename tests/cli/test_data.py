"""``fl-backdoor data``: what there is of each data set, and what is missing."""

import hashlib
from dataclasses import replace

import pytest
from torchvision.datasets import SVHN

from fl_backdoor.cli.program import main
from fl_backdoor.data.catalogue import CATALOGUE
from tests.made_archives import write_gtsrb, write_svhn, write_tiny_imagenet


@pytest.fixture
def called(capsys, tmp_path, monkeypatch):
    """Call ``fl-backdoor data …`` on the data in a folder; return the exit code and what was written."""
    monkeypatch.setenv("FL_BACKDOOR_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments):
        code = main(["data", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def rows(shown):
    """The first two words of each line, and the rest."""
    return [line.split(maxsplit=2) for line in shown.splitlines()]


def test_the_list_says_what_is_here_and_from_where_to_get_the_rest(called, tmp_path):
    write_tiny_imagenet(tmp_path)
    code, shown, _ = called("list")
    table, absent = shown.split("\n\n")[:2]
    lines = {line.split()[0]: line for line in table.splitlines()}
    assert code == 0
    assert set(lines) == {"dataset=", *CATALOGUE}
    assert lines["tiny_imagenet"].split()[1:4] == ["200", "100,000", "10,000"]
    assert lines["tiny_imagenet"].endswith(f"  {tmp_path}/tiny-imagenet-200")
    assert lines["svhn"].endswith("  –")
    assert lines["mnist5k"].endswith("data")
    sources = dict(line.split(maxsplit=1) for line in absent.splitlines()[1:])
    assert sources["svhn"] == "http://ufldl.stanford.edu/housenumbers/"
    assert set(sources) == set(CATALOGUE) - {"tiny_imagenet", "mnist5k"}
    assert shown.endswith("dataset=huggingface, image_folder, text_table, torchvision\n")


def test_a_data_set_that_is_complete(called):
    code, shown, _ = called("check", "mnist5k")
    found = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert code == 0
    assert found["training"] == "4,000 images, 1x28x28"
    assert found["test"] == "1,000 images"
    assert found["classes"] == "10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert (found["mean"], found["deviation"]) == ("0.1311", "0.3083")
    assert found["contents"] == "8e99b0cab8661019, the published ones"
    assert found["mnist5k:"] == "complete"


def test_of_one_that_is_not_there_it_says_which_files_go_where(called, tmp_path):
    code, shown, _ = called("check", "svhn")
    assert code == 1
    assert [row for row in rows(shown) if row[0] == "wrong"] == [
        ["wrong", "absent", f"no SVHN/ with its files in {tmp_path}"],
        ["wrong", "file", f"{tmp_path}/SVHN/train_32x32.mat: missing"],
        ["wrong", "file", f"{tmp_path}/SVHN/test_32x32.mat: missing"],
    ]
    assert "source  http://ufldl.stanford.edu/housenumbers/\n" in shown
    assert shown.endswith("\nsvhn: not complete\n")


def test_a_file_that_is_not_the_published_one_is_named(called, tmp_path):
    write_svhn(tmp_path)
    code, shown, _ = called("check", "svhn")
    wrong = [row[1:] for row in rows(shown) if row[0] == "wrong"]
    assert code == 1
    assert wrong[:2] == [
        ["checksum", f"{name}_32x32.mat is not the published file, MD5 {SVHN.split_list[name][2]}"]
        for name in ("test", "train")
    ]
    # torchvision refuses it, too
    assert wrong[2][0] == "unreadable"


def test_files_with_the_published_sums_are_said_to_be(called, tmp_path, monkeypatch):
    write_svhn(tmp_path)
    sums = {
        file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in (tmp_path / "SVHN").glob("*.mat")
    }
    made = {name: [url, file, sums.get(file)] for name, (url, file, _) in SVHN.split_list.items()}
    monkeypatch.setattr(SVHN, "split_list", made)
    known = replace(CATALOGUE["svhn"], md5=sums, num_train=4, num_test=2)
    monkeypatch.setattr("fl_backdoor.data.catalogue.CATALOGUE", {**CATALOGUE, "svhn": known})
    code, shown, _ = called("check", "svhn")
    assert (code, "checksums  2 as published (MD5)" in shown) == (0, True)


def test_other_numbers_than_are_published_are_wrong(called, tmp_path):
    write_gtsrb(tmp_path)
    code, shown, _ = called("check", "gtsrb", "size=16")
    assert code == 1
    assert [row[1:] for row in rows(shown) if row[0] == "wrong"] == [
        ["training", "3 images, 3x16x16; 26,640 are published"],
        ["test", "2 images; 12,630 are published"],
        ["classes", "2: 0, 1; 43 are published"],
    ]
    assert f"file       {tmp_path}/gtsrb/GTSRB/Training/*/*.ppm: 3 files" in shown


def test_a_folder_of_ones_own_is_whatever_it_is(called, tmp_path):
    write_tiny_imagenet(tmp_path / "elsewhere")
    tree = f"folder={tmp_path}/elsewhere/tiny-imagenet-200"
    code, shown, _ = called("check", "tiny_imagenet", tree)
    assert code == 1, "it should have 100,000 images"
    assert "classes    2: goldfish, Carassius auratus, Egyptian cat; 200 are published" in shown
    code, shown, _ = called("check", "image_folder", f"dataset.root={tmp_path}/elsewhere", "folder=tiny")
    assert code == 1
    assert f"dataset.folder: no images in {tmp_path}/elsewhere/tiny/train/<class>/" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "mnist"), "fl_backdoor: data set = mnist: must be one of ag_news, cifar10, cifar100, "),
        (("check", "svhn", "width=3"), "fl_backdoor: dataset.width = 3: no such setting; known here: "),
        (("check", "svhn", "size=wide"), "fl_backdoor: dataset.size = wide: must be a valid integer"),
    ],
)
def test_what_makes_no_sense_is_one_line(called, arguments, said):
    code, shown, errors = called(*arguments)
    assert (code, shown) == (2, "")
    assert errors.startswith(said)
    assert errors.count("\n") == 1


def test_a_setting_without_a_value_is_a_wrong_call(called, capsys):
    with pytest.raises(SystemExit) as ended:
        called("check", "svhn", "size")
    assert ended.value.code == 2
    assert "size is no SETTING=VALUE" in capsys.readouterr().err
