"""Settings that several data sets have and that are not ordinary ones; any other one of a data set counts."""

from typing import Annotated

from fl_backdoor.config.marks import AddedLater, Mark


class DatasetSettings:
    """Marks of a data set's settings by name, those of a plug-in's from another package included."""

    root: Annotated[str | None, Mark.BESIDE_THE_METRICS, Mark.OWN_FOLDER]
    cache: Annotated[str | None, Mark.BESIDE_THE_METRICS, Mark.OWN_FOLDER]
    download: Annotated[bool, Mark.BESIDE_THE_METRICS]
    folder: Annotated[str, Mark.INSIDE_ROOT]
    path: Annotated[str, Mark.INSIDE_ROOT]
    test_share: Annotated[float | None, AddedLater(None)]
    mean: Annotated[str | list[float] | None, AddedLater(None)]
    std: Annotated[str | list[float] | None, AddedLater(None)]
