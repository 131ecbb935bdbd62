import io
import re

from fl_backdoor.runner.display.live import Display


def test_a_notice_longer_than_the_terminal_is_wide_is_told_to_its_end(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    words = [f"[word{number}]" for number in range(40)]
    stream = io.StringIO()
    with Display(stream, terminal=True) as display:
        display.notice(" ".join(words))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    assert re.findall(r"\[word\d+\]", "\n".join(lines)) == words
    assert max(len(line) for line in lines) == 80
