import logging
import threading

from fl_backdoor.runner.tracking import beside
from fl_backdoor.runner.tracking.beside import Tracking, left_behind
from tests.trackers import Failing, Silent


class Listening(Silent):
    def __init__(self):
        self.heard = []
        self.threads = set()

    def start(self, run):
        self._hear(run.title)

    def round_finished(self, server_round, figures):
        self._hear((server_round, figures))

    def finish(self, status):
        self._hear(status)

    def _hear(self, what):
        self.heard.append(what)
        self.threads.add(threading.current_thread())


class NeverStarting(Listening):
    def start(self, run):
        raise OSError("no connection")


class Leaving(Listening):
    def round_finished(self, server_round, figures):
        raise SystemExit


class Waiting(Listening):
    def __init__(self):
        super().__init__()
        self.go_on = threading.Event()

    def start(self, run):
        self.go_on.wait()
        super().start(run)


def follow(tracker, run, rows):
    """Tell `tracker` of a whole run; return the notices."""
    notices = []
    tracking = Tracking(tracker, notices.append)
    tracking.start(run)
    for row in rows:
        tracking.round_finished(row)
    tracking.finish("finished")
    return notices


def test_a_tracker_hears_everything_in_order_in_a_thread_of_its_own(tracked, rows):
    tracker = Listening()
    assert follow(tracker, tracked(), rows) == []
    assert tracker.heard == [
        "mnist5k · FedAvg · α = 0.052",
        (0, {"main_task_accuracy": 0.1, "diverged": 0.0}),
        (1, {"main_task_accuracy": 0.1 + 1e-12, "num_replies": 4, "diverged": 0.0}),
        (2, {"main_task_accuracy": 1 / 3, "num_replies": 3, "diverged": 1.0}),
        "finished",
    ]
    assert len(tracker.threads) == 1
    assert threading.current_thread() not in tracker.threads


def test_the_rounds_of_an_earlier_process_come_first(tracked, rows):
    tracker = Listening()
    assert follow(tracker, tracked(earlier=rows[:2]), rows[2:]) == []
    assert [heard[0] for heard in tracker.heard[1:-1]] == [0, 1, 2]


def test_without_a_tracker_nothing_happens(tracked, rows):
    before = threading.active_count()
    assert follow(None, tracked(), rows) == []
    assert threading.active_count() == before


def test_a_tracker_that_fails_is_reported_once_in_one_line(tracked, rows, caplog):
    with caplog.at_level(logging.WARNING, "fl_backdoor"):
        [notice] = follow(Failing(), tracked(), rows)
    assert notice == (
        "tracking: Failing of 0_fedavg failed: RuntimeError: no room for round 0; the run is not affected"
    )
    assert [record.message for record in caplog.records] == [notice]


def test_a_tracker_that_cannot_start_is_told_nothing_more(tracked, rows):
    tracker = NeverStarting()
    [notice] = follow(tracker, tracked(), rows)
    assert "OSError: no connection" in notice
    assert tracker.heard == []


def test_a_tracker_that_fails_in_a_round_is_told_of_the_end(tracked, rows):
    tracker = Leaving()
    [notice] = follow(tracker, tracked(), rows)
    assert "SystemExit" in notice
    assert tracker.heard[-1] == "finished"


def test_a_tracker_that_hangs_is_left_behind(tracked, rows, monkeypatch):
    monkeypatch.setattr(beside, "SECONDS_TO_FINISH", 0.2)
    tracker = Waiting()
    assert not left_behind()
    [notice] = follow(tracker, tracked(), rows)
    assert "was not done 0.2 s after the end" in notice
    assert left_behind()
    tracker.go_on.set()
    [thread] = [thread for thread in threading.enumerate() if thread.name == beside.THREAD]
    thread.join(10)
    assert not left_behind()
    assert tracker.heard[-1] == "finished", "late, but complete"


def test_what_happens_after_the_end_is_not_said(tracked, rows, monkeypatch):
    monkeypatch.setattr(beside, "SECONDS_TO_FINISH", 0.2)

    class WaitingThenFailing(Waiting):
        def finish(self, status):
            raise RuntimeError("too late")

    tracker = WaitingThenFailing()
    notices = follow(tracker, tracked(), rows)
    [thread] = [thread for thread in threading.enumerate() if thread.name == beside.THREAD]
    tracker.go_on.set()
    thread.join(10)
    assert len(notices) == 1


def test_rounds_that_a_slow_tracker_has_no_room_for_are_left_out(tracked, rows, monkeypatch):
    monkeypatch.setattr(beside, "MOST_WAITING", 2)
    tracker, notices = Waiting(), []
    tracking = Tracking(tracker, notices.append)
    tracking.start(tracked())
    for row in rows:
        tracking.round_finished(row)
    tracker.go_on.set()
    tracking.finish("failed")
    [notice] = notices
    assert "is too slow: from round 2 on" in notice
    assert [heard[0] for heard in tracker.heard[1:-1]] == [0, 1]
    assert tracker.heard[-1] == "failed"
