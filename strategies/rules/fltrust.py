"""FLTrust: updates count as far as they point where training on the server's own samples points.

X. Cao, M. Fang, J. Liu and N. Z. Gong, FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping,
NDSS 2021, https://arxiv.org/abs/2012.13995, section IV. Δ_0 is the update of an honest client that has the
server's root samples. A client's trust score is t_i = max(0, cos(Δ_i, Δ_0)); each update is brought to the
length of Δ_0, and the model moves by Σ_i t_i (‖Δ_0‖ / ‖Δ_i‖) Δ_i / Σ_i t_i. The usual number of root samples
is 100, drawn from training data (``server.root_samples=100``); nobody is tested on them.

Deviations: cosines below 1e-6, which are rounding, count as 0; where nobody is trusted the model is kept. If
Δ_0 is 0, or not finite, nobody is judged, and it is kept as well.

It assumes clean root samples whose classes are those of the clients. Updates are those of parameters:
BatchNorm's statistics are in no cosine, and of those the median over the trusted is taken. In ``clients.csv``
a client's weight is t_i / Σ t, and its coefficient ‖Δ_0‖ / ‖Δ_i‖, which is above 1 where its update was
lengthened. Cost: an honest client's training on the server, and three passes over the updates.
"""

import numpy as np

from fl_backdoor.core.types import ClientVector, ParameterVector, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates, ServerContext, require_equal_weighting
from strategies.numerics.cosines import cosines_with
from strategies.numerics.linear import weighted_sum
from strategies.numerics.rounding import ROUNDING
from strategies.robust_strategy import RobustStrategy


def trust_scores(updates: UpdateMatrix, norms: ClientVector, reference: ParameterVector) -> ClientVector:
    """Return max(0, cos(Δ_i, Δ_0)), float64 ``(n_clients,)``; 0 where either is 0."""
    cosines = cosines_with(reference, updates, norms)
    return np.where(cosines > ROUNDING, cosines, 0)


class FLTrust(RobustStrategy):
    """The mean of updates of the length of the server's own, by their trust; who has none is flagged."""

    needs = "root data"

    def prepare(self, server: ServerContext) -> None:
        """Refuse weights by numbers of examples, beside trust scores; raises ConfigError."""
        require_equal_weighting(server, type(self).__name__)
        super().prepare(server)

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean by trust; nothing if nobody is trusted.

        Raises
        ------
        ValueError
            If the workbench's own update has other numbers than the parameters, such as buffers.
        """
        assert self.server.workbench is not None  # `needs` says so
        reference = self.server.workbench.train_on_root(clients.model, clients.server_round)
        if reference.shape != clients.updates.shape[1:]:
            expected = f"{clients.updates.shape[1]} parameters"
            raise ValueError(f"the server's own update has {reference.size} numbers, not {expected}")
        length = float(np.linalg.norm(reference.astype(np.float64)))
        judged = 0 < length < np.inf
        trust = np.zeros_like(clients.norms)
        ratios = np.ones_like(clients.norms)
        if judged:
            trust = trust_scores(clients.updates, clients.norms, reference)
            np.divide(length, clients.norms, out=ratios, where=clients.norms > 0)
        weights = trust / trust.sum() if trust.any() else trust
        return Aggregation(
            update=weighted_sum(weights * ratios, clients.updates),
            weights=weights,
            clip_coefficients=ratios,
            filtered=weights == 0,
            flagged=(weights == 0) & judged,
        )
