"""Flower's own aggregation rules, run and measured like every other defence here.

Krum and MultiKrum: P. Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient
Descent, NeurIPS 2017, https://arxiv.org/abs/1703.02757.
Bulyan: E. M. El Mhamdi et al., The Hidden Vulnerability of Distributed Learning in Byzantium, ICML 2018,
https://arxiv.org/abs/1802.07927.
FedMedian and FedTrimmedAvg: D. Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical
Rates, ICML 2018, https://arxiv.org/abs/1803.01498.

Flower's Bulyan deviates from its paper: it takes the best n - 2f updates of one Krum ranking, where the paper
ranks anew after each. Its FedTrimmedAvg cuts off int(β·n) values in floating point: 28 of 100 for β = 0.29.

Deviation from running them as they stand: Flower measures ‖x - y‖² as ‖x‖² + ‖y‖² - 2⟨x, y⟩ in float32, which
loses every digit on full weights and most of them on updates that resemble each other. Translating all rows
translates the result of each of these rules, so rows are handed over relative to the most central update.

Cost: Flower's own; docs/performance.md has both side by side.
"""

import inspect
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from flwr.app import ArrayRecord, Message, MessageType, Metadata, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower
from numpy.typing import NDArray
from pydantic import Field

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import ClientVector, Count, ParameterVector, PositiveCount, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates, ServerContext, mean_of, require_equal_weighting
from strategies.numerics.buffers import bounded_mean
from strategies.robust_strategy import RobustStrategy, StrategyArguments
from strategies.rules.krum import fewest_clients, require_clients, require_selection

Rule = Literal["Krum", "MultiKrum", "Bulyan", "FedMedian", "FedTrimmedAvg"]

SETTINGS = {
    "num_malicious": ("num_malicious_nodes", 3),
    "num_to_select": ("num_nodes_to_select", 5),
    "beta": ("beta", 0.2),
}
"""Each setting here: its name in Flower, and its value where the user leaves it null."""

CLIENTS_PER_MALICIOUS = {"Krum": 2, "MultiKrum": 2, "Bulyan": 4}
"""c where the paper proves its rule for n ≥ c·f + 3 clients, f of them malicious."""

SELECTS = ("Krum", "MultiKrum")
"""Rules whose result is the plain mean of the updates they select."""

NUM_EXAMPLES, SHARE = "num-examples", "share"


class FlowerStrategy(RobustStrategy):
    """One of Flower's rules on the updates of a round, all clients weighing the same.

    Whom Krum and MultiKrum do not select is filtered and flagged. The others mix clients coordinate by
    coordinate: their weights are NaN, and nobody is flagged. Buffers are not handed to Flower: under Krum and
    MultiKrum they are merged as under ours (`strategies.rules.krum`), under the others the median is taken.

    Parameters
    ----------
    rule
        Name of the class in ``flwr.serverapp.strategy``.
    num_malicious
        f, how many clients the defence takes for malicious; null: 3. Krum, MultiKrum, Bulyan.
    num_to_select
        How many updates are averaged; null: 5. MultiKrum.
    beta
        Share of values cut off at either end of each coordinate, in [0, 0.5); null: 0.2. FedTrimmedAvg.
    settings
        What every rule takes beside its settings, see `RobustStrategy`.

    Raises
    ------
    ConfigError
        If the rule has no such setting.
    """

    def __init__(
        self,
        *,
        rule: Rule,
        num_malicious: Count | None = None,
        num_to_select: PositiveCount | None = None,
        beta: Annotated[float, Field(ge=0, lt=0.5)] | None = None,
        **settings: Unpack[StrategyArguments],
    ) -> None:
        given = {"num_malicious": num_malicious, "num_to_select": num_to_select, "beta": beta}
        arguments = _arguments(rule, given)
        super().__init__(**settings)
        self.rule = rule
        self.num_malicious: int = arguments.get("num_malicious_nodes", 0)
        self.num_to_select: int = arguments.get("num_nodes_to_select", 1)
        self.required_clients = self.num_to_select
        if rule in CLIENTS_PER_MALICIOUS:
            fewest = fewest_clients(CLIENTS_PER_MALICIOUS[rule], self.num_malicious)
            self.required_clients = max(fewest, self.num_to_select)
        self.inner: flower.FedAvg = getattr(flower, rule)(**arguments)

    def prepare(self, server: ServerContext) -> None:
        """Refuse a server that weighs clients, or asks too few a round; raises ConfigError."""
        require_equal_weighting(server, self.rule)
        if self.rule in CLIENTS_PER_MALICIOUS:
            require_clients(server, self.rule, CLIENTS_PER_MALICIOUS[self.rule], self.num_malicious)
        require_selection(server, self.num_to_select)
        super().prepare(server)

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return what Flower's rule makes of the updates."""
        origin = clients.updates[np.argmin(clients.mean_distances)]
        moved, shares = self._run(clients.updates - origin)
        if self.rule in SELECTS:
            return mean_of(clients, keep=shares > 0)
        nobody = np.zeros(len(shares), dtype=np.bool_)
        return Aggregation(
            update=origin + moved,
            weights=np.full_like(shares, np.nan),
            clip_coefficients=np.ones_like(shares),
            filtered=nobody,
            flagged=nobody,
        )

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return the bounded mean over whom the rule selected, or else the median."""
        if self.rule in SELECTS:
            return bounded_mean(values, aggregation.weights, self.num_malicious)
        return super().merge_buffers(values, aggregation)

    def _run(self, rows: UpdateMatrix) -> tuple[ParameterVector, ClientVector]:
        """Return the rule's result, and each client's share among those that it selected."""
        # Flower averages the metrics of the clients it selects; a unit vector for each gives their shares.
        units = np.eye(len(rows)).tolist()
        replies = [reply(row, unit) for row, unit in zip(rows, units, strict=True)]
        # A hostile row can overflow Flower's squares: its distances are infinite or NaN, and sorted last.
        with np.errstate(over="ignore", invalid="ignore"):
            arrays, metrics = self.inner.aggregate_train(0, replies)
        if arrays is None or metrics is None:
            raise RuntimeError(f"{self.rule} refused {len(rows)} updates")
        return arrays.to_numpy_ndarrays()[0].astype(np.float32), np.array(metrics[SHARE])


def reply(row: ParameterVector, unit: list[float]) -> Message:
    """Return the message in which a client sends its update, and `unit` as a metric."""
    metrics = MetricRecord({NUM_EXAMPLES: 1, SHARE: unit})
    content = RecordDict({"arrays": ArrayRecord([row]), "metrics": metrics})
    # With metadata of its own a message needs no run around it; the constructor's overloads leave that out.
    metadata = Metadata(0, "", 0, 0, "", "", 0.0, 0.0, MessageType.TRAIN)
    return Message(content=content, metadata=metadata)  # type: ignore[call-overload,no-any-return]


def _arguments(rule: Rule, given: dict[str, float | None]) -> dict[str, Any]:
    """Return the rule's constructor arguments; refuse a setting that the rule does not have."""
    accepted = inspect.signature(getattr(flower, rule)).parameters
    arguments = {}
    for name, (name_in_flower, default) in SETTINGS.items():
        value = given[name]
        if name_in_flower in accepted:
            arguments[name_in_flower] = default if value is None else value
        elif value is not None:
            raise ConfigError(f"strategy.{name}", value, f"{rule} has no such setting; set it to null")
    return arguments
