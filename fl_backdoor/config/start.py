"""What the global model is before the first round: the group ``start`` of the configuration."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fl_backdoor.config.marks import Mark
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import STRICT, Count, PositiveCount

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Digest of a file, 64 hexadecimal digits."""


@dataclass(frozen=True, config=STRICT)
class FreshStart:
    """Weights that follow from the seed."""

    name: Literal["fresh"] = "fresh"

    @property
    def rounds_before(self) -> int:
        """The run's first round is the one after this number."""
        return 0


@dataclass(frozen=True, config=STRICT)
class FileStart:
    """Weights from a file, by the names of tensors.

    Parameters
    ----------
    path
        ``.safetensors``, or else what ``torch.save`` made of a state dict.
    strict
        Whether the file must have just the model's tensors. Otherwise those that do not fit stay as the seed
        draws them.
    after_round
        The round that it is the model of: the next one is the run's first. 0: rounds are counted from 1.
    sha256
        The file's digest, by which runs are told apart, wherever it lies. Null: the program fills it in.
    """

    path: Annotated[str, Mark.BESIDE_THE_METRICS]
    strict: Annotated[bool, Mark.BESIDE_THE_METRICS] = True
    after_round: Count = 0
    sha256: Sha256 | None = None
    name: Literal["file"] = "file"

    @property
    def rounds_before(self) -> int:
        """The run's first round is the one after this number."""
        return self.after_round


@dataclass(frozen=True, config=STRICT)
class CleanStart:
    """The model of a clean run: nobody attacks, the server averages, all other settings are the run's own.

    Parameters
    ----------
    rounds
        How many rounds the clean run has.
    count_on
        Whether the run's first round is the one after them. Otherwise rounds are counted from 1.
    """

    rounds: PositiveCount
    count_on: bool = False
    name: Literal["clean"] = "clean"

    @property
    def rounds_before(self) -> int:
        """The run's first round is the one after this number."""
        return self.rounds if self.count_on else 0


@dataclass(frozen=True, config=STRICT)
class RunStart:
    """A model of a run that has ended.

    Parameters
    ----------
    folder
        The run's.
    model
        ``last``, or ``best``: the most accurate on test samples, where the run has kept it.
    count_on
        Whether the run's first round is the one after the round of that model. Otherwise rounds are counted
        from 1.
    after_round
        That round. Null: the program fills it in.
    sha256
        As of a file.
    """

    folder: Annotated[str, Mark.BESIDE_THE_METRICS]
    model: Annotated[Literal["last", "best"], Mark.BESIDE_THE_METRICS] = "last"
    count_on: bool = False
    after_round: Count | None = None
    sha256: Sha256 | None = None
    name: Literal["run"] = "run"

    @property
    def rounds_before(self) -> int:
        """The run's first round is the one after this number."""
        return (self.after_round or 0) if self.count_on else 0


@dataclass(frozen=True, config=STRICT)
class TorchvisionStart:
    """Weights that torchvision publishes.

    Parameters
    ----------
    weights
        Their name, such as ``ResNet18_Weights.IMAGENET1K_V1``.
    strict
        As of a file. The last layer stays as the seed draws it where it was made for another number of
        classes.
    """

    weights: str
    strict: Annotated[bool, Mark.BESIDE_THE_METRICS] = True
    name: Literal["torchvision"] = "torchvision"

    @property
    def rounds_before(self) -> int:
        """The run's first round is the one after this number."""
        return 0


StartConfig = Annotated[
    FreshStart | FileStart | CleanStart | RunStart | TorchvisionStart, Field(discriminator="name")
]
"""Where the weights come from that the first round begins with."""

KINDS = ("fresh", "file", "clean", "run", "torchvision")
"""Their names."""


def check_rounds(start: StartConfig, num_rounds: int) -> None:
    """Refuse a run that would have no round of its own; raises ConfigError."""
    if start.rounds_before >= num_rounds:
        allowed = (
            f"is the number of the last round: it starts from the model of round {start.rounds_before}, "
            f"must be at least {start.rounds_before + 1}"
        )
        raise ConfigError("num_rounds", num_rounds, allowed)
