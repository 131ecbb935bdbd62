"""Each defence does something against an attack that it is made for, and little where nobody attacks.

Twelve clients move a model of 60 parameters one way, each with a part of its own; the last of them attack
along one direction that is at right angles to the benign mean. `pull` is how far the model moves that way: a
defence must leave a share of what it is under FedAvg. A new defence joins by a row here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fl_backdoor.testing.rules import clients_of, server_of
from strategies.base import Aggregation
from strategies.chain.chain import Chain
from strategies.robust_strategy import RobustStrategy
from strategies.rules.fltrust import FLTrust
from strategies.rules.foolsgold import FoolsGold
from strategies.rules.median import Median
from strategies.rules.oracle_filter import OracleFilter
from strategies.rules.rflbat import RFLBAT
from strategies.rules.rlr import RLR
from strategies.steps.bucketing import Bucketing
from strategies.steps.nnm import NNM
from tests.strategies.test_contracts import DEFENCES
from tests.strategies.toy_workbench import ToyWorkbench

NUM_CLIENTS, NUM_PARAMS = 12, 60
SEED = 8
"""Of the federation; the first direction that is drawn from it is the benign clients'."""


@dataclass(frozen=True)
class Effect:
    """What a defence does on these clients.

    Parameters
    ----------
    share
        Most that may be left of FedAvg's pull.
    finds
        Whether all attackers are flagged, or none; None: it judges layers, and flags who passes in none.
    num_attackers, length
        How many attack, and how long their updates are; a benign one's is about 0.8.
    common
        How much benign clients have in common, the length of their mean; what is their own is 0.5 long.
    opposite
        Whether they attack against the benign mean instead.
    alarms
        Most benign clients that may be flagged where nobody attacks.
    cost
        How far from the mean the model may end then, in lengths of a client's own part.
    build
        The defence, where another setting is meant than that of its row in `DEFENCES`.
    """

    share: float
    finds: bool | None = False
    num_attackers: int = 1
    length: float = 20.0
    common: float = 0.6
    opposite: bool = False
    alarms: int = 0
    cost: float = 0.5
    build: Callable[[], RobustStrategy] | None = None


class Root(ToyWorkbench):
    """A server whose own samples move the model as the benign clients do."""

    def train_on_root(self, model, server_round):
        return (0.6 * direction(np.random.default_rng(SEED))).astype(np.float32)


EFFECTS: dict[str, Effect] = {
    "iqr_filter": Effect(0.1, finds=True, alarms=2),
    "clip_avg": Effect(0.1, finds=True),
    "hybrid": Effect(0.1, finds=True, alarms=5),
    "hybrid_prose": Effect(0.1, finds=True, alarms=5),
    "flame": Effect(0.1, finds=True, alarms=5),
    "oracle_filter": Effect(
        0.1, finds=True, alarms=1, build=lambda: OracleFilter(client_ids=[NUM_CLIENTS - 1])
    ),
    "krum": Effect(0.1, finds=True, alarms=11, cost=1.2),
    "multi_krum": Effect(0.1, finds=True, alarms=8),
    "bulyan": Effect(0.1, finds=True, alarms=2),
    "median": Effect(0.1),
    "trimmed_mean": Effect(0.1),
    "norm_clipping": Effect(0.1),
    "norm_clipping_median": Effect(0.1),
    "rfa": Effect(0.3),
    # The benign agree on the coordinates that they share; on the attackers' they do not, and go back there.
    "rlr": Effect(0.1, num_attackers=3, common=3.0, cost=1, build=lambda: RLR(threshold=8)),
    "foolsgold": Effect(0.1, finds=True, num_attackers=3, length=0.8, common=0),
    "dnc": Effect(0.1, finds=True, alarms=1),
    "alignins": Effect(0.2, finds=True, num_attackers=3, length=0.8, opposite=True, alarms=8),
    "signguard": Effect(0.1, finds=True, num_attackers=3, length=0.8, opposite=True, alarms=4),
    "lasa": Effect(0.1, finds=None, num_attackers=2, alarms=8),
    "rflbat": Effect(
        0.1, finds=True, num_attackers=3, length=2.0, common=0, alarms=8, build=lambda: RFLBAT(most_groups=3)
    ),
    "multi_metrics": Effect(0.1, finds=True, alarms=6),
    "freqfed": Effect(0.1, finds=True, num_attackers=3, alarms=8),
    "fltrust": Effect(
        0.1, finds=True, num_attackers=3, opposite=True, cost=2, build=lambda: FLTrust(workbench=Root())
    ),
    "centered_clipping": Effect(0.1),
    "iqr_filter_norm_clipping": Effect(0.1, finds=True, alarms=2),
    "norm_clipping_nnm_median": Effect(0.1),
    "multi_krum_trimmed_mean": Effect(0.1, finds=True, alarms=8),
    "flower_krum": Effect(0.1, finds=True, alarms=11, cost=1.2),
    "flower_multi_krum": Effect(0.1, finds=True, alarms=8),
    "flower_bulyan": Effect(0.1),
    "flower_median": Effect(0.1),
    "flower_trimmed_mean": Effect(0.1),
}

SHOWN_ELSEWHERE = {
    "fedavg": "what all are compared with",
    "persistent_direction": "needs many rounds: test_persistent_direction.py",
    "persistent_direction_median": "needs many rounds: test_persistent_direction.py",
    "fldetector": "needs twelve rounds that follow from each other: test_fldetector.py",
    "flare": "tries models out, and weighs them: test_flare.py",
    "deepsight": "tries models out: test_deepsight.py",
    "mars": "compares what layers can do: test_mars.py",
    "nnm": "makes clients alike, for a rule behind it: below",
    "bucketing": "makes clients alike, for a rule behind it: below",
    "sparsification": "a part of LASA, no defence by itself",
    "weak_noise": "covers what is short, after norm clipping: test_steps.py",
    "crfl": "bounds the model: test_crfl.py",
    "fine_tuning": "trains the model: test_removal.py",
    "fine_pruning": "prunes and trains the model: test_removal.py",
    "clp": "prunes the model: test_removal.py",
    "nad": "trains the model: test_removal.py",
    "i_bau": "trains the model: test_removal.py",
    "fed_avgm": "an optimiser, no defence: test_server_optimizers.py",
    "fed_adam": "an optimiser, no defence: test_server_optimizers.py",
    "fed_yogi": "an optimiser, no defence: test_server_optimizers.py",
}


def direction(random: np.random.Generator) -> np.ndarray:
    vector = random.standard_normal(NUM_PARAMS)
    return vector / np.linalg.norm(vector)


def federation(effect: Effect, num_attackers: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return updates, the benign mean, and the direction of the attack."""
    random = np.random.default_rng(SEED)
    shared = direction(random)
    own = np.stack([0.5 * direction(random) for _ in range(NUM_CLIENTS)])
    rows = effect.common * shared + own
    benign = rows[: NUM_CLIENTS - num_attackers].mean(axis=0)
    attack = -benign if effect.opposite else direction(random)
    if not effect.opposite:
        attack = attack - attack @ benign / (benign @ benign) * benign
    attack = attack / np.linalg.norm(attack)
    for row in range(NUM_CLIENTS - num_attackers, NUM_CLIENTS):
        rows[row] = effect.length * attack + 0.05 * own[row]
    return rows, benign, attack


def outcome(name: str, rows: np.ndarray) -> Aggregation:
    build = EFFECTS[name].build
    rule = build() if build else DEFENCES[name].build(1.0)
    rule.prepare(replace(server_of(NUM_CLIENTS, NUM_PARAMS), workbench=rule.workbench))
    return rule.aggregate(clients_of(rows.astype(np.float32)))


def test_each_defence_has_a_row():
    missing = DEFENCES.keys() - EFFECTS.keys() - SHOWN_ELSEWHERE.keys()
    assert not missing, "say in EFFECTS what it does, or in SHOWN_ELSEWHERE which test shows it"
    assert not EFFECTS.keys() & SHOWN_ELSEWHERE.keys()


@pytest.mark.parametrize("name", EFFECTS)
def test_a_planted_attacker_gets_less_than_under_fedavg(name):
    effect = EFFECTS[name]
    rows, benign, attack = federation(effect, effect.num_attackers)
    result = outcome(name, rows)
    pull, of_mean = ((moved - benign) @ attack for moved in (result.update, rows.mean(axis=0)))
    assert pull <= effect.share * of_mean, f"{pull / of_mean:.2f} of FedAvg's pull"
    attackers = result.flagged[NUM_CLIENTS - effect.num_attackers :]
    if effect.finds is not None:
        assert attackers.all() == attackers.any() == effect.finds
    assert not result.flagged.all()


@pytest.mark.parametrize("name", EFFECTS)
def test_where_nobody_attacks_it_costs_little(name):
    effect = EFFECTS[name]
    rows, _, _ = federation(effect, 0)
    result = outcome(name, rows)
    assert result.flagged.sum() <= effect.alarms
    assert np.linalg.norm(result.update - rows.mean(axis=0)) <= 0.5 * effect.cost


@pytest.mark.parametrize("step", [NNM(num_malicious=2), Bucketing(bucket_size=3)], ids=["nnm", "bucketing"])
def test_clients_that_share_no_coordinate_reach_a_median_once_they_are_mixed(step):
    # Each coordinate is moved by four clients of twelve: the median is 0, of means of several it is not.
    rows = sum(np.roll(np.eye(NUM_CLIENTS, dtype=np.float32), shift, axis=1) for shift in range(4))
    rules = [Median(), Chain([step, Median()])]
    for rule in rules:
        rule.prepare(server_of(NUM_CLIENTS, NUM_CLIENTS))
    alone, mixed = (rule.aggregate(clients_of(rows)).update for rule in rules)
    mean = rows.mean(axis=0)
    assert np.linalg.norm(mixed - mean) < np.linalg.norm(alone - mean)


def test_fools_gold_remembers_who_is_alike_over_rounds():
    """In one round sybils hide behind noise of their own, which the sum of rounds averages out."""
    random = np.random.default_rng(9)
    rule = FoolsGold()
    rule.prepare(server_of(NUM_CLIENTS, NUM_PARAMS))
    attack, own = direction(random), np.stack([direction(random) for _ in range(NUM_CLIENTS)])
    weights = []
    for server_round in range(1, 16):
        rows = own + 2 * np.stack([direction(random) for _ in range(NUM_CLIENTS)])
        rows[-3:] += attack - own[-3:]
        result = rule.aggregate(clients_of(rows.astype(np.float32), server_round=server_round))
        weights.append(result.weights[-3:].sum())
    assert weights[0] > 0.1
    assert weights[-1] < 0.05
