import numpy as np
from safetensors.numpy import load_file

from fl_backdoor.runs.best_model import BestModel


def seen(folder, accuracies, before=()):
    """Have rounds go by, whose models are their accuracies; return the one that is kept."""
    best = BestModel(folder)
    best.go_on(_row(accuracy) for accuracy in before)
    for accuracy in accuracies:
        best.round_finished(_row(accuracy), {"weight": np.array([accuracy or -1.0])})
    file = folder / "best_model.safetensors"
    return load_file(file)["weight"][0] if file.exists() else None


def _row(accuracy):
    diverged = "the test loss is not finite" if accuracy == 0.9 else None
    return {"main_task_accuracy": accuracy, "diverged": diverged}


def test_the_most_accurate_is_kept_but_none_that_diverged(tmp_path):
    assert seen(tmp_path, [0.1, 0.5, 0.3, 0.9, None]) == 0.5


def test_a_run_that_goes_on_knows_what_was_best(tmp_path):
    assert seen(tmp_path, [0.4], before=[0.1, 0.6]) is None
    assert seen(tmp_path, [0.7], before=[0.1, 0.6]) == 0.7
