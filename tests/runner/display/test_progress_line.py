from fl_backdoor.runner.display import progress_line as patience
from fl_backdoor.runner.display.progress_line import Patience


def test_something_is_said_now_and_then_and_nothing_of_a_few(monkeypatch):
    said = []
    clock = iter(range(1000))
    monkeypatch.setattr(patience.time, "monotonic", lambda: next(clock))
    assert list(Patience(said.append, "runs checked").over(range(19))) == list(range(19))
    assert said == []
    assert len(list(Patience(said.append, "runs checked").over(range(45)))) == 45
    assert said == ["20 runs checked", "30 runs checked", "40 runs checked"]
