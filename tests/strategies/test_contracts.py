"""What every defence must satisfy, see `fl_backdoor.testing`. A new one joins with one row in `DEFENCES`."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.testing.rules import (
    HUGE,
    SCALES,
    UPDATES,
    WITHOUT_TIES,
    RuleContract,
    nearly_equal,
    with_huge_row,
)
from strategies.base import Aggregation, clipped_mean, mean_of
from strategies.chain.chain import Chain
from strategies.indicator.rule import BackdoorIndicator
from strategies.persistent_direction.rule import PersistentDirection
from strategies.removal.clp import CLP
from strategies.removal.fine_pruning import FinePruning
from strategies.removal.fine_tuning import FineTuning
from strategies.removal.i_bau import IBAU
from strategies.removal.nad import NAD
from strategies.robust_strategy import RobustStrategy
from strategies.rules.alignins import AlignIns
from strategies.rules.bulyan import Bulyan
from strategies.rules.clip_avg import ClipAvg
from strategies.rules.deepsight import DeepSight
from strategies.rules.dnc import DnC
from strategies.rules.fedavg import FedAvg
from strategies.rules.flame import Flame
from strategies.rules.flare import FLARE
from strategies.rules.fldetector import FLDetector
from strategies.rules.flower import FlowerStrategy
from strategies.rules.fltrust import FLTrust
from strategies.rules.foolsgold import FoolsGold
from strategies.rules.freqfed import FreqFed
from strategies.rules.hybrid import Hybrid
from strategies.rules.iqr_filter import IQRFilter
from strategies.rules.krum import Krum
from strategies.rules.lasa import LASA
from strategies.rules.mars import MARS
from strategies.rules.median import Median
from strategies.rules.multi_krum import MultiKrum
from strategies.rules.multi_metrics import MultiMetrics
from strategies.rules.oracle_filter import OracleFilter
from strategies.rules.rfa import RFA
from strategies.rules.rflbat import RFLBAT
from strategies.rules.rlr import RLR
from strategies.rules.signguard import SignGuard
from strategies.rules.trimmed_mean import TrimmedMean
from strategies.steps.bucketing import Bucketing
from strategies.steps.centered_clipping import CenteredClipping
from strategies.steps.crfl import CRFL
from strategies.steps.fed_avgm import FedAvgM
from strategies.steps.fed_opt import FedAdam, FedYogi
from strategies.steps.nnm import NNM
from strategies.steps.norm_clipping import NormClipping
from strategies.steps.sparsification import Sparsification
from strategies.steps.weak_noise import WeakNoise
from tests.strategies.configurations import NAMES, settings
from tests.strategies.toy_workbench import ToyWorkbench, with_output_layer


def flower(rule: str, **settings: float) -> Callable[[float], RobustStrategy]:
    return lambda length: FlowerStrategy(rule=rule, **settings)


def one_layer(num_params: int) -> Layout:
    return Layout((TensorSpec("weight", (num_params, 1), "float32", True),))


DEFENCES = {
    "fedavg": RuleContract(lambda length: FedAvg()),
    "iqr_filter": RuleContract(lambda length: IQRFilter(), ignores_huge=True),
    "clip_avg": RuleContract(lambda length: ClipAvg(clip_gamma=length, learning_rate=1)),
    "hybrid": RuleContract(lambda length: Hybrid(clip_gamma=length, learning_rate=1)),
    "hybrid_prose": RuleContract(
        lambda length: Hybrid(clip_gamma=length, clip_unsuspicious=True, suspect_ratio=0.5, learning_rate=1)
    ),
    "flame": RuleContract(lambda length: Flame(noise_factor=0)),
    "oracle_filter": RuleContract(lambda length: OracleFilter(client_ids=[])),
    "krum": RuleContract(lambda length: Krum(num_malicious=1), fewest=5, selects=1, ignores_huge=True),
    "multi_krum": RuleContract(
        lambda length: MultiKrum(num_malicious=1, num_to_select=4), fewest=5, selects=4, ignores_huge=True
    ),
    "bulyan": RuleContract(
        lambda length: Bulyan(num_malicious=1), fewest=7, selects=7, has_weights=False, ignores_huge=True
    ),
    "median": RuleContract(lambda length: Median(), has_weights=False, ignores_huge=True),
    "trimmed_mean": RuleContract(lambda length: TrimmedMean(beta=0.2), has_weights=False, ignores_huge=True),
    "persistent_direction": RuleContract(lambda length: PersistentDirection(), fewest=6),
    "persistent_direction_median": RuleContract(
        lambda length: PersistentDirection(response="median"), fewest=6, has_weights=False, ignores_huge=True
    ),
    "norm_clipping": RuleContract(lambda length: NormClipping(bound=length)),
    "norm_clipping_median": RuleContract(lambda length: NormClipping()),
    "nnm": RuleContract(lambda length: NNM(num_malicious=1), fewest=3),
    "weak_noise": RuleContract(lambda length: WeakNoise()),
    "crfl": RuleContract(lambda length: CRFL(bound=length)),
    "rfa": RuleContract(lambda length: RFA(smoothing=1e-6 * length)),
    "rlr": RuleContract(lambda length: RLR(threshold=4), fewest=4, has_weights=False),
    "foolsgold": RuleContract(lambda length: FoolsGold()),
    "dnc": RuleContract(lambda length: DnC(num_malicious=1), fewest=3, selects=8, ignores_huge=True),
    "alignins": RuleContract(lambda length: AlignIns(), spares_all=False),
    "signguard": RuleContract(lambda length: SignGuard(sampled_share=1), ignores_huge=True, spares_all=False),
    "lasa": RuleContract(lambda length: LASA(), has_weights=False, ignores_huge=True, spares_all=False),
    "rflbat": RuleContract(lambda length: RFLBAT(most_groups=1), ignores_huge=True),
    "fldetector": RuleContract(lambda length: FLDetector()),
    # Beside an update that is 1e25 times as long all others are equally far from each other.
    "multi_metrics": RuleContract(
        lambda length: MultiMetrics(kept_share=0.5),
        selects=4,
        ignores_huge=True,
        order_on=WITHOUT_TIES[:-1],
    ),
    "mars": RuleContract(
        lambda length: MARS(), judges_models=True, ignores_huge=True, spares_all=False, layout=one_layer
    ),
    "freqfed": RuleContract(lambda length: FreqFed(), spares_all=False),
    "fltrust": RuleContract(
        lambda length: FLTrust(workbench=ToyWorkbench(length)),
        own_length=True,
        may_keep_model=True,
        spares_all=False,
    ),
    "flare": RuleContract(lambda length: FLARE(workbench=ToyWorkbench())),
    "deepsight": RuleContract(
        lambda length: DeepSight(num_samples=2, workbench=ToyWorkbench()),
        fewest=3,
        may_keep_model=True,
        spares_all=False,
        order_on=WITHOUT_TIES[1:],  # shares of three have ties, which HDBSCAN breaks by the clients' order
        layout=with_output_layer,
    ),
    # Buckets that are all the same size: who is in which does not change their mean.
    "bucketing": RuleContract(lambda length: Bucketing(bucket_size=3)),
    "sparsification": RuleContract(lambda length: Sparsification(kept_share=1)),
    "centered_clipping": RuleContract(lambda length: CenteredClipping(radius=length)),
    "fed_avgm": RuleContract(lambda length: FedAvgM()),
    "fed_adam": RuleContract(lambda length: FedAdam()),
    "fed_yogi": RuleContract(lambda length: FedYogi()),
    "fine_tuning": RuleContract(lambda length: FineTuning(workbench=ToyWorkbench())),
    "fine_pruning": RuleContract(lambda length: FinePruning(workbench=ToyWorkbench())),
    "clp": RuleContract(lambda length: CLP(workbench=ToyWorkbench())),
    "nad": RuleContract(lambda length: NAD(workbench=ToyWorkbench())),
    "i_bau": RuleContract(lambda length: IBAU(workbench=ToyWorkbench())),
    "iqr_filter_norm_clipping": RuleContract(
        lambda length: Chain([IQRFilter(), NormClipping(bound=length)]), ignores_huge=True
    ),
    "norm_clipping_nnm_median": RuleContract(
        lambda length: Chain([NormClipping(bound=length), NNM(num_malicious=1), Median(), WeakNoise()]),
        fewest=3,
        has_weights=False,
        ignores_huge=True,
    ),
    "multi_krum_trimmed_mean": RuleContract(
        lambda length: Chain([MultiKrum(num_malicious=1, num_to_select=4), TrimmedMean()]),
        fewest=5,
        selects=4,
        has_weights=False,
        ignores_huge=True,
    ),
    "flower_krum": RuleContract(flower("Krum", num_malicious=1), fewest=5, selects=1, ignores_huge=True),
    "flower_multi_krum": RuleContract(
        flower("MultiKrum", num_malicious=1, num_to_select=4), fewest=5, selects=4, ignores_huge=True
    ),
    "flower_bulyan": RuleContract(
        flower("Bulyan", num_malicious=1), fewest=7, has_weights=False, ignores_huge=True
    ),
    "flower_median": RuleContract(flower("FedMedian"), has_weights=False, ignores_huge=True),
    "flower_trimmed_mean": RuleContract(
        flower("FedTrimmedAvg", beta=0.2), has_weights=False, ignores_huge=True
    ),
}


def each(belongs: Callable[[RuleContract], bool] = lambda row: True) -> pytest.MarkDecorator:
    """Run a test for each row that `belongs`."""
    rows = {name: row for name, row in DEFENCES.items() if belongs(row)}
    return pytest.mark.parametrize("defence", rows.values(), ids=rows.keys())


@pytest.fixture(params=UPDATES.values(), ids=UPDATES.keys())
def updates(request):
    return request.param


@each()
def test_shapes_ranges_and_finite_scores(defence, updates):
    for length in (1.0, 1e30):
        defence.check_ranges(updates, length)


@each(lambda row: row.has_weights)
def test_the_movement_is_the_weighted_sum_of_the_clipped_updates(defence, updates):
    defence.check_weighted_sum(updates)


@each()
@pytest.mark.parametrize("name", WITHOUT_TIES)
def test_the_order_of_clients_does_not_matter(defence, name):
    for seed in range(3 if name in defence.order_on else 0):
        defence.check_order(UPDATES[name], seed)


@each(lambda row: not row.judges_models)
@pytest.mark.parametrize("factor", [2.0**-10, 2.0**10])
def test_scaling_updates_and_bounds_scales_the_movement(defence, factor):
    defence.check_scaling(factor)


@each(lambda row: row.fewest == 1 and not row.own_length)
def test_one_client_moves_the_model_alone(defence):
    defence.check_one_client()


@each(lambda row: not row.own_length)
def test_equal_clients_move_the_model_as_each_would(defence):
    defence.check_equal_clients()


@each(lambda row: row.spares_all)
def test_nobody_is_an_outlier_of_a_regular_simplex(defence):
    defence.check_simplex()


@each(lambda row: not row.own_length)
@pytest.mark.parametrize("scale", SCALES)
def test_the_movement_lies_among_nearly_equal_updates(defence, scale):
    defence.check_among(nearly_equal(scale))


@each(lambda row: row.ignores_huge)
@pytest.mark.parametrize("factor", HUGE)
def test_a_huge_update_leaves_no_trace(defence, factor):
    defence.check_huge(factor)


@each()
def test_results_do_not_depend_on_the_number_of_threads(defence):
    defence.check_threads()


@each()
def test_a_run_that_was_cut_off_goes_on_as_if_nothing_had_happened(defence):
    defence.check_going_on()


@each()
def test_a_chain_of_one_step_is_that_step(defence):
    clients = defence.clients(with_huge_row(100), np.arange(1.0, 10))
    values = np.random.default_rng(5).standard_normal((9, 3))
    alone = defence.prepared(1.0)
    chain = replace(defence, build=lambda length: Chain([defence.build(length)]))
    inside = chain.prepared(1.0)
    results = [strategy.aggregate(clients) for strategy in (alone, inside)]
    for one, other in zip(*map(_fields, results), strict=True):
        np.testing.assert_array_equal(one, other)
    buffers = [
        strategy.merge_buffers(values, result)
        for strategy, result in zip((alone, inside), results, strict=True)
    ]
    np.testing.assert_array_equal(*buffers)
    assert inside.required_clients == alone.required_clients


def _fields(result: Aggregation) -> list[np.ndarray]:
    return [getattr(result, field.name) for field in fields(Aggregation)]


@each(lambda row: row.fewest > 1)
def test_too_few_clients_are_refused(defence):
    defence.check_too_few()


@pytest.mark.parametrize("name", NAMES)
def test_each_configuration_builds_its_strategy(name, make_federation):
    server = make_federation(10).knowing(workbench=ToyWorkbench(), layout=with_output_layer(12))
    strategy = server.configured(settings(name))
    assert isinstance(strategy, RobustStrategy)
    # Whether a client knows planted samples is no question of its update: that rule has tests of its own.
    assert isinstance(strategy, BackdoorIndicator) or any(
        isinstance(row.build(1.0), type(strategy)) for row in DEFENCES.values()
    )


class Blunt(RobustStrategy):
    """Flags whoever is longer than the median, if by a last digit."""

    def aggregate(self, clients):
        return clipped_mean(
            clients, np.ones_like(clients.norms), flagged=clients.norms > np.median(clients.norms)
        )


class First(RobustStrategy):
    def aggregate(self, clients):
        return mean_of(clients, keep=np.arange(len(clients.norms)) == 0)


def test_rules_that_break_the_contract_are_found():
    contract = RuleContract(lambda length: Blunt())
    contract.check_one_client()
    with pytest.raises(AssertionError):
        contract.check_simplex()
    with pytest.raises(AssertionError):
        RuleContract(lambda length: First()).check_order(UPDATES["spread out"])
    with pytest.raises(AssertionError, match="1 clients a round are not refused"):
        RuleContract(lambda length: First(), fewest=2).check_too_few()
