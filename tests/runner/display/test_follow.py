import os
import time

import pytest
import yaml

from fl_backdoor.core import table
from fl_backdoor.runner.display.follow import FollowedRun
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS


@pytest.fixture
def write(tmp_path, round_row, client_row):
    """Write rounds of a run of 10 with two clients, as the program does."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"num_rounds": 10}))
    (tmp_path / "rounds.csv").write_bytes(table.header(ROUND_COLUMNS))
    (tmp_path / "clients.csv").write_bytes(table.header(CLIENT_COLUMNS))

    def append(*server_rounds, seconds=3.0, rejected=None):
        for server_round in server_rounds:
            clients = [
                client_row(server_round=server_round, client_id=id_, rejected=rejected) for id_ in (0, 1)
            ]
            row = round_row(server_round=server_round, train_seconds=seconds - 1, aggregate_seconds=1.0)
            for name, rows, columns in (
                ("clients.csv", clients if server_round else [], CLIENT_COLUMNS),
                ("rounds.csv", [row], ROUND_COLUMNS),
            ):
                with (tmp_path / name).open("ab") as file:
                    file.write(table.lines(rows, columns))

    return append


@pytest.fixture
def followed(tmp_path, write):
    return FollowedRun(tmp_path, "run")


def rounds(news):
    return [(each.row["server_round"], [client["client_id"] for client in each.clients]) for each in news]


def test_each_round_is_new_once_with_its_clients(followed, write):
    assert followed.look() == []
    write(0, 1)
    assert rounds(followed.look()) == [(0, []), (1, [0, 1])]
    assert followed.look() == []
    write(2)
    assert rounds(followed.look()) == [(2, [0, 1])]
    assert followed.num_rounds == 10


@pytest.mark.parametrize("name", ["rounds.csv", "clients.csv"])
def test_half_a_line_is_not_there_yet(followed, write, tmp_path, name):
    """Wherever it is cut off, also in the middle of a character."""
    write(0)
    followed.look()
    before = (tmp_path / name).read_bytes()
    write(1, rejected="‖Δ‖ is not finite")
    after = (tmp_path / name).read_bytes()
    for length in range(len(before), len(after)):
        (tmp_path / name).write_bytes(after[:length])
        fresh = FollowedRun(tmp_path, "run")
        news = fresh.look()
        assert fresh.run.problems == []
        assert len(news) == (1 if name == "rounds.csv" else 2)


def test_a_round_that_comes_again_after_a_cut_is_not_new(followed, write, tmp_path):
    write(0)
    kept = (tmp_path / "rounds.csv").read_bytes()
    write(1)
    followed.look()
    (tmp_path / "rounds.csv").write_bytes(kept)
    assert followed.look() == []
    write(1, 2)
    assert [each.row["server_round"] for each in followed.look()] == [2]


def test_the_time_left_goes_by_the_rounds_after_the_first(followed, write):
    write(0)
    write(1, seconds=60.0)
    write(2, seconds=3.0)
    write(3, seconds=5.0)
    assert [each.left for each in followed.look()] == [None, None, 8 * 3.0, 7 * 4.0]
    assert followed.seconds_left() == 28.0


@pytest.mark.parametrize(("longest", "patience"), [(None, 300), (3.0, 60), (20.0, 200)])
def test_a_run_that_is_silent_for_long_may_be_dead(followed, write, tmp_path, longest, patience):
    """For 5 minutes before the first round has ended; then for ten times the longest round, or a minute."""
    if longest is not None:
        write(0, 1, seconds=longest)
    for silence in (patience / 2, patience * 2):
        then = time.time() - silence
        for file in tmp_path.iterdir():
            os.utime(file, (then, then))
        followed.look()
        found = followed.silent_seconds()
        assert (found is None) == (silence < patience)
    assert found == pytest.approx(2 * patience, rel=0.4)


def test_a_run_that_has_ended_is_not_silent(followed, write, tmp_path):
    write(0)
    (tmp_path / "summary.json").write_text('{"status": "failed"}')
    for file in tmp_path.iterdir():
        os.utime(file, (0, 0))
    followed.look()
    assert followed.ended
    assert followed.silent_seconds() is None
