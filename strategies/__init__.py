"""Defences of the server: each is a Flower strategy, for this bench as for anybody's Flower app.

>>> from strategies import Hybrid
>>> strategy = Hybrid(clip_gamma=1.0, learning_rate=0.05, fraction_train=0.5)

What a rule consists of, for those who write one: `RobustStrategy` and `aggregate`, from `ClientUpdates` to an
`Aggregation`.
"""

from typing import TYPE_CHECKING

from fl_backdoor.core.exports import exported

if TYPE_CHECKING:
    from fl_backdoor.core.named_arrays import layout_of
    from strategies.base import Aggregation, ClientUpdates, ServerContext, clipped_mean, mean_of, nothing_of
    from strategies.chain.chain import Chain
    from strategies.chain.kinds import ChoiceStep, ModelStep, UpdateStep
    from strategies.chain.rows import Change, Choice
    from strategies.courier import Courier, Received, TrainRequest
    from strategies.flower_courier import FlowerCourier
    from strategies.indicator.rule import BackdoorIndicator
    from strategies.numerics.clipping import clip_coefficients
    from strategies.numerics.rounding import exceeds
    from strategies.persistent_direction.rule import PersistentDirection
    from strategies.removal.clp import CLP
    from strategies.removal.fine_pruning import FinePruning
    from strategies.removal.fine_tuning import FineTuning
    from strategies.removal.i_bau import IBAU
    from strategies.removal.nad import NAD
    from strategies.robust_strategy import FlowerArguments, RobustStrategy, RoundOutcome, StrategyArguments
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
    from strategies.torch_workbench import TorchWorkbench
    from strategies.workbench import RootData, Workbench

__all__ = [
    "CLP",
    "CRFL",
    "FLARE",
    "IBAU",
    "LASA",
    "MARS",
    "NAD",
    "NNM",
    "RFA",
    "RFLBAT",
    "RLR",
    "Aggregation",
    "AlignIns",
    "BackdoorIndicator",
    "Bucketing",
    "Bulyan",
    "CenteredClipping",
    "Chain",
    "Change",
    "Choice",
    "ChoiceStep",
    "ClientUpdates",
    "ClipAvg",
    "Courier",
    "DeepSight",
    "DnC",
    "FLDetector",
    "FLTrust",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedYogi",
    "FinePruning",
    "FineTuning",
    "Flame",
    "FlowerArguments",
    "FlowerCourier",
    "FlowerStrategy",
    "FoolsGold",
    "FreqFed",
    "Hybrid",
    "IQRFilter",
    "Krum",
    "Median",
    "ModelStep",
    "MultiKrum",
    "MultiMetrics",
    "NormClipping",
    "OracleFilter",
    "PersistentDirection",
    "Received",
    "RobustStrategy",
    "RootData",
    "RoundOutcome",
    "ServerContext",
    "SignGuard",
    "Sparsification",
    "StrategyArguments",
    "TorchWorkbench",
    "TrainRequest",
    "TrimmedMean",
    "UpdateStep",
    "WeakNoise",
    "Workbench",
    "clip_coefficients",
    "clipped_mean",
    "exceeds",
    "layout_of",
    "mean_of",
    "nothing_of",
]

_HOMES = {
    "strategies.base": (
        *("Aggregation", "ClientUpdates", "ServerContext"),
        *("clipped_mean", "mean_of", "nothing_of"),
    ),
    "strategies.chain.chain": ("Chain",),
    "strategies.numerics.clipping": ("clip_coefficients",),
    "strategies.numerics.rounding": ("exceeds",),
    "strategies.courier": ("Courier", "Received", "TrainRequest"),
    "strategies.flower_courier": ("FlowerCourier",),
    "fl_backdoor.core.named_arrays": ("layout_of",),
    "strategies.removal.clp": ("CLP",),
    "strategies.removal.fine_pruning": ("FinePruning",),
    "strategies.removal.fine_tuning": ("FineTuning",),
    "strategies.removal.i_bau": ("IBAU",),
    "strategies.removal.nad": ("NAD",),
    "strategies.robust_strategy": ("FlowerArguments", "RobustStrategy", "RoundOutcome", "StrategyArguments"),
    "strategies.persistent_direction.rule": ("PersistentDirection",),
    "strategies.rules.alignins": ("AlignIns",),
    "strategies.rules.deepsight": ("DeepSight",),
    "strategies.indicator.rule": ("BackdoorIndicator",),
    "strategies.rules.dnc": ("DnC",),
    "strategies.rules.flare": ("FLARE",),
    "strategies.rules.fltrust": ("FLTrust",),
    "strategies.rules.foolsgold": ("FoolsGold",),
    "strategies.rules.rfa": ("RFA",),
    "strategies.rules.rlr": ("RLR",),
    "strategies.rules.signguard": ("SignGuard",),
    "strategies.steps.bucketing": ("Bucketing",),
    "strategies.steps.centered_clipping": ("CenteredClipping",),
    "strategies.steps.sparsification": ("Sparsification",),
    "strategies.rules.fldetector": ("FLDetector",),
    "strategies.rules.freqfed": ("FreqFed",),
    "strategies.rules.lasa": ("LASA",),
    "strategies.rules.multi_metrics": ("MultiMetrics",),
    "strategies.rules.rflbat": ("RFLBAT",),
    "strategies.rules.bulyan": ("Bulyan",),
    "strategies.rules.clip_avg": ("ClipAvg",),
    "strategies.rules.fedavg": ("FedAvg",),
    "strategies.rules.flame": ("Flame",),
    "strategies.rules.flower": ("FlowerStrategy",),
    "strategies.rules.hybrid": ("Hybrid",),
    "strategies.rules.iqr_filter": ("IQRFilter",),
    "strategies.rules.krum": ("Krum",),
    "strategies.rules.mars": ("MARS",),
    "strategies.rules.median": ("Median",),
    "strategies.rules.multi_krum": ("MultiKrum",),
    "strategies.rules.oracle_filter": ("OracleFilter",),
    "strategies.rules.trimmed_mean": ("TrimmedMean",),
    "strategies.chain.kinds": ("ChoiceStep", "ModelStep", "UpdateStep"),
    "strategies.steps.fed_avgm": ("FedAvgM",),
    "strategies.steps.fed_opt": ("FedAdam", "FedYogi"),
    "strategies.steps.nnm": ("NNM",),
    "strategies.steps.norm_clipping": ("NormClipping",),
    "strategies.chain.rows": ("Change", "Choice"),
    "strategies.steps.crfl": ("CRFL",),
    "strategies.steps.weak_noise": ("WeakNoise",),
    "strategies.torch_workbench": ("TorchWorkbench",),
    "strategies.workbench": ("RootData", "Workbench"),
}
"""Where each public name is at home: a rule is imported when it is first asked for, and Flower with it."""

__getattr__ = exported(__name__, _HOMES)
