"""What is done to training samples at random: the group ``augmentation`` of the configuration."""

from dataclasses import field
from typing import Annotated, Any

from pydantic.dataclasses import dataclass

from fl_backdoor.config.marks import AddedLater, NamedBy
from fl_backdoor.core.types import STRICT


@dataclass(frozen=True, config=STRICT)
class AugmentationConfig:
    """Random changes of all clients' training samples; those of the test are left as they are.

    Parameters
    ----------
    steps
        Names of what is done, in order.
    step
        For each of these names a plug-in of ``fl_backdoor.training.augmentations``. One that is not named
        does not count.
    """

    steps: Annotated[list[str], AddedLater([])] = field(default_factory=list)
    step: Annotated[dict[str, dict[str, Any]], NamedBy("steps"), AddedLater({})] = field(default_factory=dict)
