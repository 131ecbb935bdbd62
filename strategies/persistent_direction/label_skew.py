"""What label skew explains of updates: that which clients of any label shares would have in common.

A client that has much of one class and little of another pulls in a direction of its own in each round, as
an attacker does. Honest clients that the server plays with samples of its own, each with other label shares,
pull in such directions too. Whatever of an update is a sum of theirs, label skew alone explains; attackers
are looked for in the rest.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from strategies.numerics.threads import in_order

Short = Mapping[str, NDArray[np.float32]]
"""Short vectors of the same updates by name, float32 ``(n_updates, n_places)``, each linear in the update."""


def stacked(parts: Iterable[Short]) -> Short:
    """Return the short vectors of several matrices of updates as those of one."""
    listed = list(parts)
    return {name: np.concatenate([part[name] for part in listed]) for name in listed[0]}


def apart_from(proxies: Short, updates: Short, by: str) -> Short:
    """Return what proxy clients do not explain of updates.

    Parameters
    ----------
    proxies, updates
        Short vectors of both, under the same names.
    by
        Under which name coefficients are found, by least squares: a sketch of all parameters keeps distances
        (D. P. Woodruff, "Sketching as a Tool for Numerical Linear Algebra", Foundations and Trends in
        Theoretical Computer Science 10, 2014, section 2.1).
    """

    def fitted(found: NDArray[np.float32]) -> NDArray[np.float64]:
        solution = np.linalg.lstsq(proxies[by].astype(np.float64).T, found.astype(np.float64).T)[0]
        return solution.T.astype(np.float64)

    [coefficients] = in_order(fitted, [updates[by]])

    def rest(name: str) -> NDArray[np.float32]:
        explained = coefficients @ proxies[name].astype(np.float64)
        return (updates[name] - explained).astype(np.float32)

    return dict(zip(updates, in_order(rest, updates), strict=True))
