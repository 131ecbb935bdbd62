import io
import re
from pathlib import Path

import pytest

from fl_backdoor.runner.display.live import Display

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def clients(client_row, num_clients=10):
    """Client 2 and 7 are malicious and clipped, as is 5; 7 is flagged, 3 filtered and flagged, 9 rejected."""
    return [
        client_row(
            server_round=2,
            client_id=client_id,
            malicious=client_id in (2, 7),
            clip_coefficient=0.5 if client_id in (2, 5, 7) else 1.0,
            filtered=client_id == 3,
            flagged=client_id in (3, 7),
            rejected="late" if client_id == 9 else None,
        )
        for client_id in range(num_clients)
    ]


@pytest.fixture
def finished_round(round_row):
    return round_row(
        server_round=2,
        main_task_accuracy=0.521,
        attack_success_rate=0.124,
        success_rate=1.0,
        model_updated=True,
        train_seconds=12.0,
        aggregate_seconds=0.2,
        evaluate_seconds=2.0,
    )


def plain(show, **console):
    stream = io.StringIO()
    with Display(stream, **console) as display:
        show(display)
    return stream.getvalue()


def test_a_plain_round_is_one_line_however_long(finished_round, client_row):
    def show(display):
        display.run_started("CIFAR-10 · Hybrid · α = 0.052", 16)
        display.round_finished(finished_round, clients(client_row))

    title, line = plain(show).splitlines()
    assert title.startswith("CIFAR-10 · Hybrid · α = 0.052 · 16 rounds")
    assert line == (
        "round  2/16  accuracy  52.1 %  ASR  12.4 %  SR 100.0 %  filtered 3  clipped 2* 5 7*  flagged 7*"
        "  rejected 9  14.2 s"
    )


def test_round_zero_and_unknown_figures(round_row):
    def show(display):
        display.run_started("title", 3)
        display.round_finished(round_row(server_round=0, main_task_accuracy=0.1, evaluate_seconds=2.0), [])

    assert plain(show).splitlines()[1] == "round 0/3  accuracy  10.0 %  ASR     ? %  SR     ? %  2.0 s"


def test_the_time_left_is_told_from_the_second_round_on(round_row, monkeypatch):
    clock = iter([100.0, 160.0, 174.0])  # the end of round 1, 2 and 3
    monkeypatch.setattr("fl_backdoor.runner.display.live.time.monotonic", lambda: next(clock))

    def show(display):
        display.run_started("title", 103)
        for server_round in (1, 2, 3):
            display.round_finished(round_row(server_round=server_round), [])

    lines = plain(show).splitlines()[1:]
    assert "left" not in lines[0]
    assert lines[1].endswith("left 1:41:00"), "101 rounds of 60 s"
    assert lines[2].endswith("left 1:01:40"), "100 rounds of 37 s"


def test_a_kept_model_is_told(finished_round, client_row):
    kept = finished_round | {"model_updated": False}
    shown = plain(lambda display: display.round_finished(kept, clients(client_row)))
    assert "model kept: too few usable replies" in shown


def test_plain_notices_errors_and_the_end():
    long = "CIFAR-10 is not there, [bold]Fashion-MNIST takes its place, " * 3

    def show(display):
        display.notice(long)
        display.error("attack.alpha = 2: must be at most 1")
        display.run_finished("finished", Path("outputs") / "run")

    assert plain(show).splitlines() == [
        f"NOTICE: {long}",
        "fl_backdoor: attack.alpha = 2: must be at most 1",
        "finished: outputs/run",
    ]


def test_plain_text_has_no_escape_codes(finished_round, client_row):
    def show(display):
        display.run_started("title", 16)
        display.round_finished(finished_round, clients(client_row))
        display.notice("look")

    assert "\x1b" not in plain(show)


@pytest.fixture
def terminal(finished_round, client_row, monkeypatch):
    """What a terminal of 200 columns got to see."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def show(display):
        display.run_started("title", 16)
        display.notice("CIFAR-10 is [not] there")
        display.round_finished(finished_round, clients(client_row))
        display.step("proxy clients", 37, 100)
        display.run_finished("finished", Path("outputs"))

    return plain(show, terminal=True)


def test_a_terminal_shows_the_same_figures_over_a_bar(terminal):
    text = ESCAPES.sub("", terminal)
    assert "accuracy  52.1 %  ASR  12.4 %  SR 100.0 %" in text
    assert "━" in text, "the bar"
    assert "left ?" in text
    assert "37/100 proxy clients" in text
    assert "finished: outputs" in text


def test_a_terminal_shows_malicious_clients_in_red(terminal):
    red = re.findall(r"\x1b\[31m([^\x1b]*)", terminal)
    assert red == [" 2*", " 7*", " 7*"]


def test_a_terminal_shows_a_notice_in_a_frame(terminal):
    lines = ESCAPES.sub("", terminal).splitlines()
    [place] = [number for number, line in enumerate(lines) if "CIFAR-10 is [not] there" in line]
    assert "NOTICE" in lines[place - 1]
    assert "╰" in lines[place + 1]


def test_the_cursor_comes_back_after_a_fault():
    stream = io.StringIO()

    def interrupted():
        with Display(stream, terminal=True) as display:
            display.run_started("title", 16)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    shown = stream.getvalue()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
