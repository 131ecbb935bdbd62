from itertools import pairwise

import pytest
from matplotlib.colors import to_hex

from fl_backdoor.analysis import sweep_figure
from fl_backdoor.runs.figures import OKABE_ITO

ALPHAS = (0.0, 0.02, 0.052, 0.1, 0.3)


def row(alpha, strategy="Hybrid", seed=0, **figures):
    empty = dict.fromkeys(
        ("main_task_accuracy", "attack_success_rate", "success_rate", "clean_success_rate"), None
    )
    entries = {"dataset": "CIFAR-10", "strategy": strategy, "seed": seed, "attack.num_malicious": 3}
    return {**empty, **entries, "attack.alpha": alpha, **figures}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws rows; returns the axes as they were when the picture was written, and the legend's texts."""
    write, seen = sweep_figure.save, []

    def keep(figure, path):
        seen.append(figure)
        write(figure, path)

    def draw(rows):
        sweep_figure.draw_sweep(tmp_path / "sweep.png", rows, ())
        [legend] = seen[-1].legends
        return seen[-1].axes[0], [text.get_text() for text in legend.get_texts()]

    monkeypatch.setattr(sweep_figure, "save", keep)
    return draw


def test_styles_tell_figures_apart_and_colours_strategies(drawn):
    figures = {"success_rate": 0.5, "attack_success_rate": 0.25, "main_task_accuracy": 0.75}
    axes, legend = drawn([row(0.1, "FedAvg", **figures), row(0.1, "Hybrid", **figures)])
    found = [
        (to_hex(line.get_color()).upper(), line.get_linestyle(), *line.get_ydata()) for line in axes.lines
    ]
    assert found == [
        (colour, style, share)
        for colour in OKABE_ITO[:2]
        for style, share in (("-", 50), ("--", 25), (":", 75))
    ]
    assert legend == [
        "FedAvg",
        "Hybrid",
        "success rate (SR)",
        "attack success rate (ASR)",
        "main-task accuracy",
        "SR of a clean model",
    ]


def test_each_alpha_in_use_has_a_tick_that_can_be_read(drawn):
    axes, _ = drawn([row(alpha, success_rate=alpha) for alpha in ALPHAS])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "2", "5.2", "10", "30"]
    pixels = [axes.transData.transform((100 * alpha, 0))[0] for alpha in ALPHAS]
    assert min(right - left for left, right in pairwise(pixels)) > 50
    assert axes.get_title().startswith("CIFAR-10")


def test_a_band_spans_the_seeds_and_one_seed_has_none(drawn):
    one = [row(alpha, success_rate=0.5) for alpha in (0.0, 0.1)]
    axes, _ = drawn(one)
    assert len(axes.collections) == 0
    axes, _ = drawn([*one, *(row(alpha, seed=1, success_rate=0.75) for alpha in (0.0, 0.1))])
    [band] = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (50, 75)
    assert axes.lines[0].get_ydata() == pytest.approx([62.5, 62.5])


def test_a_known_baseline_is_a_thin_line(drawn):
    axes, _ = drawn([row(0.1, success_rate=0.5)])
    assert len(axes.lines) == 3
    axes, _ = drawn([row(0.1, success_rate=0.5, clean_success_rate=0.125)])
    baseline = axes.lines[-1]
    assert list(baseline.get_ydata()) == [12.5, 12.5]
    assert baseline.get_linewidth() < axes.lines[0].get_linewidth()


def test_only_alpha_zero_can_be_drawn(drawn):
    axes, _ = drawn([row(0.0, success_rate=0.125)])
    assert axes.get_xlim() == (0, 1)
