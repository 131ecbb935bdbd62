"""Names for the arrays and the ranges that the whole project speaks of."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

UpdateMatrix = NDArray[np.float32]
"""Updates, float32 ``(n_clients, n_params)``, rows sorted by client id."""

ParameterVector = NDArray[np.float32]
"""Trained parameters of a model, or a movement of them, float32 ``(n_params,)``."""

ClientVector = NDArray[np.float64]
"""One number a client, float64 ``(n_clients,)``."""

ClientMask = NDArray[np.bool_]
"""One yes or no a client, bool ``(n_clients,)``."""

ModelArrays = list[NDArray[np.generic]]
"""A model's state as Flower's clients exchange it: one array a tensor, in ``state_dict`` order, a tensor that
goes by several names once."""

NO_CLASS = -1
"""Predicted class of a sample whose logits are not all finite: neither right nor the target."""

STRICT = ConfigDict(extra="forbid")
"""Of a group of settings: a name that it does not know is refused."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
TorchSeed = Annotated[int, Field(ge=0, lt=2**64)]
Decay = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
OpenShare = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Ratio = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
