"""Sentences and words, against figures worked out by hand."""

import pytest

from fl_backdoor.analysis.clean_baseline import fill_clean_figures
from fl_backdoor.analysis.report.cases import compare
from fl_backdoor.analysis.report.verdict import headline, judge, word
from fl_backdoor.runs.runs import find
from tests.analysis.report.made_runs import write_run, write_sweep


def verdicts(folder):
    runs = find([folder])
    fill_clean_figures(runs)
    [comparison] = compare(runs)
    return judge(comparison)


@pytest.mark.parametrize(
    ("excess", "expected"),
    [
        (-0.2, "holds"),
        (0.1, "holds"),
        (0.11, "holds in part"),
        (0.5, "holds in part"),
        (0.51, "does not hold"),
        (1.0, "does not hold"),
    ],
)
def test_the_rule(excess, expected):
    assert word(excess) == expected


def test_one_run_beside_its_own_baseline(tmp_path):
    write_run(tmp_path / "run", figures=(0.65, 0.952, 0.953), clean=(0.667, 0.078, 0.1))
    [verdict] = verdicts(tmp_path)
    assert verdict.word == "does not hold"
    assert verdict.sentence == (
        "Under Hybrid the backdoor opens in 95.2\u00a0% of triggered samples (α = 0.1), against a "
        "baseline of 7.8\u00a0%, with an accuracy drop of 1.7 points against the same training that nobody "
        "attacks (1 seed): the defence does not hold."
    )
    assert headline([verdict]) == verdict.sentence


def test_the_worst_attack_counts_and_the_accuracy_drop_is_against_fedavg(tmp_path):
    fedavg, hybrid = verdicts(write_sweep(tmp_path / "sweep"))
    # ASR of seeds 0 to 2: .30 .32 .34; clean .04 .06 .08, so each exceeds its own baseline by .26;
    # accuracy .60 .59 .58 against FedAvg's clean .70 .69 .68.
    assert hybrid.sentence == (
        "Under Hybrid the backdoor opens in 32.0\u00a0% of triggered samples (the worst of 2 attacks, "
        "α = 0.3), against a baseline of 6.0\u00a0%, with an accuracy drop of 10 points against FedAvg that "
        "nobody attacks (3 seeds): the defence holds in part, and its accuracy drop is high."
    )
    assert "(the worst of 2 attacks, α = 0.3)" in fedavg.sentence
    assert fedavg.sentence.endswith("(3 seeds): there is no defence, and the attack works.")
    assert headline([fedavg, hybrid]) == hybrid.sentence


def test_several_defences_are_counted(tmp_path):
    for strategy, asr in (("FedAvg", 0.9), ("Krum", 0.02), ("IQRFilter", 0.9), ("Hybrid", 0.8)):
        write_run(tmp_path / strategy, strategy, figures=(0.6, asr, asr), clean=(0.6, 0.0, 0.1))
    found = verdicts(tmp_path)
    assert headline(found) == "Of 3 defences, 1 holds (Krum), 2 do not hold (Hybrid, IQRFilter)."


def test_an_interval_that_reaches_into_another_word_is_told(tmp_path):
    for seed, asr in enumerate((0.05, 0.12, 0.04)):
        write_run(tmp_path / f"{seed}", seed=seed, figures=(0.6, asr, 0.2), clean=(0.6, 0.0, 0.1))
    [verdict] = verdicts(tmp_path)
    assert verdict.word == "holds"
    assert verdict.sentence.endswith(
        "without an accuracy drop against the same training that nobody attacks (3 seeds): the defence "
        "holds, though its interval over seeds reaches into “holds in part”."
    )


def test_conditions_are_named(tmp_path):
    for precision in ("fp32", "bf16"):
        write_run(
            tmp_path / precision, "Krum", figures=(0.6, 0.02, 0.1), clean=(0.6, 0.0, 0.1), precision=precision
        )
    found = verdicts(tmp_path)
    assert found[0].sentence.startswith("Under Krum with precision = bf16 the backdoor opens in 2.0\u00a0%")
    assert headline(found) == "Of 2 cases, 2 hold (Krum with precision = bf16, Krum with precision = fp32)."


def test_without_a_baseline_of_its_own_fedavg_stands_in(tmp_path):
    write_run(tmp_path / "clean", "FedAvg", 0.0, figures=(0.7, 0.05, 0.1))
    write_run(tmp_path / "hybrid", "Hybrid", 0.1, figures=(0.68, 0.12, 0.2))
    [verdict] = verdicts(tmp_path)
    assert (
        "against the baseline of FedAvg, 5.0\u00a0%, since its own is unknown, with an accuracy drop "
        "of 2 points" in verdict.sentence
    )
    assert verdict.word == "holds"


def test_without_any_baseline_nothing_is_judged(tmp_path):
    write_run(tmp_path / "hybrid")
    [verdict] = verdicts(tmp_path)
    assert verdict.word is None
    assert verdict.sentence == (
        "Under Hybrid the backdoor opens in 90.0\u00a0% of triggered samples (α = 0.1), with no clean "
        "baseline known (1 seed): not judged."
    )


def test_a_run_that_has_not_finished_is_not_judged(tmp_path):
    write_run(tmp_path / "hybrid", status=None)
    [verdict] = verdicts(tmp_path)
    assert (verdict.word, verdict.sentence) == (None, "Under Hybrid no run has finished: not judged.")


def test_where_nobody_attacks_there_is_nothing_to_judge(tmp_path):
    write_run(tmp_path / "clean", alpha=0.0)
    assert verdicts(tmp_path) == []
    assert headline([]) == "Nobody attacked, so there is nothing to judge."
