from fl_backdoor.runner.display import progress_line
from fl_backdoor.runner.display.progress_line import ProgressLine


def test_something_is_said_now_and_then_and_nothing_of_a_few(monkeypatch):
    said = []
    clock = iter(range(1000))
    monkeypatch.setattr(progress_line.time, "monotonic", lambda: next(clock))
    assert list(ProgressLine(said.append, "runs checked").over(range(19))) == list(range(19))
    assert said == []
    assert len(list(ProgressLine(said.append, "runs checked").over(range(45)))) == 45
    assert said == ["20 runs checked", "30 runs checked", "40 runs checked"]
