"""Run folders made by hand, whole ones, with figures chosen so that means are easy to work out."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from fl_backdoor.core import table
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS

Row = dict[str, Any]

STRATEGIES = {
    "FedAvg": {"_target_": "strategies.FedAvg"},
    "Krum": {"_target_": "strategies.Krum", "num_malicious": None},
    "IQRFilter": {"_target_": "strategies.IQRFilter", "iqr_k": 1.5},
    "Oracle": {"_target_": "strategies.Krum", "num_malicious": 1},
    "Yardstick": {"_target_": "strategies.OracleFilter", "client_ids": [1, 3]},
    "Hybrid": {"_target_": "strategies.Hybrid", "clip_gamma": 1.0, "iqr_k": 0.3},
}


def settings(strategy: str, alpha: float, seed: int, **more: Any) -> Row:
    """Settings as `config.yaml` nests them."""
    return {
        "seed": seed,
        "num_rounds": 2,
        "clean_baseline": "known",
        "precision": "fp32",
        "outputs": "outputs",
        "dataset": {"_target_": "fl_backdoor.data.cifar10.Cifar10", "root": None},
        "partition": {
            "num_clients": 4,
            "partitioner": {"_target_": "flwr_datasets.partitioner.IidPartitioner"},
        },
        "model": {"_target_": "fl_backdoor.models.cnn.CNN"},
        "client": {"learning_rate": 0.05, "batch_size": 32},
        "attack": {
            "num_malicious": 1 if alpha else 0,
            "alpha": alpha,
            "boost_factor": 1.0,
            "target_label": 5,
            "trigger": {"_target_": "fl_backdoor.attacks.triggers.bar.Bar"},
        },
        "strategy": STRATEGIES[strategy],
        "engine": {"num_workers": None},
    } | more


def rounds_of(accuracy: float, asr: float, sr: float, clean: Sequence[float] = ()) -> list[Row]:
    """Three rounds, of which the last has the given figures; `clean`: those of a clean model."""
    names = ("main_task_accuracy", "attack_success_rate", "success_rate")
    rows = []
    for at, share in enumerate((0.25, 0.5, 1.0)):
        row = dict.fromkeys(ROUND_COLUMNS) | {"server_round": at}
        row |= {name: share * value for name, value in zip(names, (accuracy, asr, sr), strict=True)}
        if clean:
            row |= {f"clean_{name}": share * value for name, value in zip(names, clean, strict=True)}
        rows.append(row)
    return rows


def clients_of(alpha: float) -> list[Row]:
    """Four clients in two rounds; client 2 is malicious and attacks in round 2, if anybody does."""
    rows = []
    for server_round in (1, 2):
        for client in range(4):
            malicious = bool(alpha) and client == 2
            rows.append(
                dict.fromkeys(CLIENT_COLUMNS)
                | {
                    "server_round": server_round,
                    "client_id": client,
                    "malicious": malicious,
                    "attacking": malicious and server_round == 2,
                    "update_norm": 1.0 + client / 4,
                    "gradient_norm": 2.0,
                    "mean_distance": 3.0 if malicious else 1.0,
                    "clip_coefficient": 0.5 if client == 1 else 1.0,
                    "filtered": client == 3,
                    "flagged": client in (2, 3),
                }
            )
    return rows


def write_run(
    folder: Path,
    strategy: str = "Hybrid",
    alpha: float = 0.1,
    seed: int = 0,
    *,
    figures: tuple[float, float, float] = (0.6, 0.9, 0.91),
    clean: Sequence[float] = (),
    status: str | None = "finished",
    dataset: str = "CIFAR-10",
    entries: Row | None = None,
    **more: Any,
) -> Path:
    """Write a run; without `status` it has no summary, as one that was killed."""
    folder.mkdir(parents=True)
    nested = settings(strategy, alpha, seed, **more)
    rounds = rounds_of(*figures, clean)
    write_tables(folder, rounds, clients_of(alpha))
    (folder / "config.yaml").write_text(yaml.safe_dump(nested))
    if status:
        summary = {
            "format": 1,
            "status": status,
            "seed": seed,
            "dataset": dataset,
            "strategy": strategy,
            "attacks": alpha > 0,
            "rounds_finished": 2,
        }
        (folder / "summary.json").write_text(json.dumps(summary | (entries or {})))
    return folder


def write_tables(folder: Path, rounds: list[Row], clients: list[Row]) -> None:
    for name, columns, rows in (("rounds", ROUND_COLUMNS, rounds), ("clients", CLIENT_COLUMNS, clients)):
        (folder / f"{name}.csv").write_bytes(table.header(columns) + table.lines(rows, columns))


def write_images(folder: Path) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (60, 20), "red").save(content, "PNG")
    (folder / "samples.png").write_bytes(content.getvalue())
    return content.getvalue()


LABELS = "client_id,cat,dog\n0,5,0\n1,4,1\n2,0,7\n3,2,2\n"


def write_sweep(folder: Path) -> Path:
    """Two defences, two attacks, three seeds, a clean run of each seed and defence; one run was killed."""
    figures = {  # accuracy, ASR, SR of seed 0; each further seed has 0.01 less accuracy and 0.02 more of both
        ("FedAvg", 0.0): (0.70, 0.02, 0.10),
        ("FedAvg", 0.1): (0.68, 0.80, 0.82),
        ("FedAvg", 0.3): (0.66, 0.90, 0.91),
        ("Hybrid", 0.0): (0.66, 0.04, 0.11),
        ("Hybrid", 0.1): (0.65, 0.05, 0.12),
        ("Hybrid", 0.3): (0.60, 0.30, 0.34),
    }
    for (strategy, alpha), (accuracy, asr, sr) in figures.items():
        for seed in range(3):
            shifted = (accuracy - 0.01 * seed, asr + 0.02 * seed, sr + 0.02 * seed)
            run = write_run(folder / f"{strategy}_{alpha}_{seed}", strategy, alpha, seed, figures=shifted)
            (run / "labels.csv").write_text(LABELS)
            write_images(run)
    write_run(folder / "killed", "Hybrid", 0.3, 3, figures=(0.1, 0.99, 0.99), status=None)
    return folder
