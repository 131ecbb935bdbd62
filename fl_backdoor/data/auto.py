"""``dataset=auto``: CIFAR-10 where it can be had, otherwise 5,000 digits that need nothing."""

from fl_backdoor import plugins
from fl_backdoor.data.cifar10 import Cifar10
from fl_backdoor.data.dataset import ImageDataset
from fl_backdoor.data.mnist5k import Mnist5k
from fl_backdoor.plugins import TARGET, Spec

KEY = "dataset"


class Auto(ImageDataset):
    """Stands in the configuration until `resolve` replaces it; until then the shape of its images is open."""

    name = "auto"
    num_classes = 10


def resolve(spec: Spec) -> tuple[Spec, str | None]:
    """Replace `Auto` by the data set that can be had here; any other `spec` comes back as it is.

    Returns
    -------
    spec
        The data set, with the same settings.
    notice
        One line that says why it is not CIFAR-10; otherwise None.

    Raises
    ------
    ConfigError
        If a setting is wrong.
    """
    if plugins.resolve(spec, KEY) is not Auto:
        return spec, None
    settings = plugins.settings(spec, KEY)
    missing = Cifar10(**settings).missing()
    if missing is None:
        return {TARGET: _path(Cifar10), **settings}, None
    notice = f"{missing}; this run takes 5,000 MNIST digits (dataset=mnist5k) instead"
    return {TARGET: _path(Mnist5k), **settings}, notice


def _path(dataset: type[ImageDataset]) -> str:
    return f"{dataset.__module__}.{dataset.__qualname__}"
