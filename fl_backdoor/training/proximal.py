"""FedProx: clients are held back near the global model.

T. Li, A. K. Sahu, M. Zaheer, M. Sanjabi, A. Talwalkar and V. Smith, Federated Optimization in Heterogeneous
Networks, MLSys 2020, https://arxiv.org/abs/1812.06127, equation 2: what is minimised has μ/2·‖w - w_global‖²
added to it. Its gradient, μ·(w - w_global), is added as such: nothing of it has to be differentiated.
Deviation: all clients do the same work in a round; the paper's γ-inexact solutions are another matter.
"""

from collections.abc import Sequence

import torch


class Proximal:
    """The pull towards where training began, over trained parameters.

    Parameters
    ----------
    parameters
        What is trained, where it lies.
    mu
        μ.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], mu: float) -> None:
        self.mu = mu
        self._parameters = list(parameters)
        # A recorded step reads it: it stays where it is.
        self._origin = [torch.zeros_like(parameter) for parameter in self._parameters]

    @torch.no_grad()
    def begin(self) -> None:
        """Remember the parameters as those of the global model."""
        torch._foreach_copy_(self._origin, self._parameters)

    @torch.no_grad()
    def added_to(self, gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return gradients of what is minimised without the term plus the term's own."""
        away = torch._foreach_sub(self._parameters, self._origin)
        return torch._foreach_add(list(gradients), away, alpha=self.mu)
