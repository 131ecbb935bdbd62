"""Defences by attacks, against figures worked out by hand from those of made-up runs."""

from fl_backdoor.analysis.matrix import matrices, sheet
from fl_backdoor.analysis.matrix_figure import draw_matrices
from fl_backdoor.cli.matrix import main
from fl_backdoor.runs.runs import find
from tests.analysis.report.made_runs import write_run, write_sweep


def test_a_cell_is_asr_and_what_was_lost_of_fedavgs_accuracy_without_an_attack(tmp_path):
    [matrix] = matrices(find([write_sweep(tmp_path / "sweep")]))
    assert matrix.attacks == ["no attack", "α = 0.1", "α = 0.3"]
    # Seeds 0 to 2 have 0.01 less accuracy and 0.02 more ASR each: FedAvg has 0.69 where nobody attacks.
    assert sheet(matrix).rows == (
        ("FedAvg", "4.0 (0.0)", "82.0 (2.0)", "92.0 (4.0)", "92.0"),
        ("Hybrid", "6.0 (4.0)", "7.0 (5.0)", "32.0 (10.0)", "32.0"),
    )


def attack(name: str, **more: object):
    trigger = {"_target_": f"fl_backdoor.attacks.triggers.{name.lower()}.{name}", "size": len(name)}
    return {
        "num_malicious": 1,
        "alpha": 0.1,
        "boost_factor": 1.0,
        "target_label": 5,
        "trigger": trigger,
    } | more


def test_attacks_go_by_their_triggers_and_by_what_is_unusual(tmp_path):
    write_run(tmp_path / "a", "FedAvg", attack=attack("Bar"))
    write_run(tmp_path / "b", "FedAvg", attack=attack("Patch"))
    write_run(tmp_path / "c", "FedAvg", attack=attack("Bar", boost_factor=10.0))
    write_run(tmp_path / "d", "FedAvg", alpha=0.0, figures=(0.8, 0.1, 0.2))
    [matrix] = matrices(find([tmp_path]))
    assert matrix.attacks == [
        "no attack",
        "α = 0.1, trigger = Bar",
        "α = 0.1, trigger = Patch",
        "α = 0.1, updates × 10, trigger = Bar",
    ]
    # What nobody's attack costs does not depend on the trigger that figures are measured with.
    assert sheet(matrix).rows == (("FedAvg", "10.0 (0.0)", *["90.0 (20.0)"] * 3, "90.0"),)


def test_each_condition_has_a_matrix_of_its_own_and_the_least_worst_asr_comes_first(tmp_path):
    for number, partition in enumerate(("Iid", "Dirichlet")):
        skew = {
            "num_clients": 4,
            "partitioner": {"_target_": f"flwr_datasets.partitioner.{partition}Partitioner"},
        }
        for strategy, rate in (("FedAvg", 0.2), ("Krum", 0.5 - 0.2 * number), ("IQRFilter", 0.4)):
            figures = (0.6, rate, rate)
            write_run(tmp_path / f"{strategy}{number}", strategy, figures=figures, partition=skew)
    dirichlet, iid = matrices(find([tmp_path]))
    assert dirichlet.where == "CIFAR-10, partition.partitioner = DirichletPartitioner"
    assert (dirichlet.defences, iid.defences) == (
        ["FedAvg", "Krum", "IQRFilter"],
        ["FedAvg", "IQRFilter", "Krum"],
    )


def test_what_is_not_there_is_not_made_up(tmp_path):
    write_run(tmp_path / "a", "FedAvg", alpha=0.1)
    write_run(tmp_path / "b", "Hybrid", alpha=0.3)
    write_run(tmp_path / "c", "Krum", alpha=0.3, status="diverged")
    [matrix] = matrices(find([tmp_path]))
    rows = {row[0]: row[1:] for row in sheet(matrix).rows}
    assert rows == {
        "FedAvg": ("90.0", "–", "90.0"),
        "Hybrid": ("–", "90.0", "90.0"),
        "Krum": ("–", "diverged", "–"),
    }
    assert matrix.defences[-1] == "Krum"


def test_the_command_prints_and_draws(tmp_path, capsys):
    folder, figure = write_sweep(tmp_path / "sweep"), tmp_path / "matrix.png"
    assert main([str(folder), "--figure", str(figure)]) == 0
    assert "| Hybrid<sup>a</sup> | 6.0 (4.0) | 7.0 (5.0) | 32.0 (10.0) | 32.0 |" in capsys.readouterr().out
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert main([str(folder), "--format", "latex"]) == 0
    assert "\\toprule" in capsys.readouterr().out
    assert main([str(tmp_path / "nowhere")]) == 2


def test_the_same_runs_give_the_same_picture(tmp_path):
    found = matrices(find([write_sweep(tmp_path / "sweep")]))
    draw_matrices(tmp_path / "a.png", found)
    draw_matrices(tmp_path / "b.png", found)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
