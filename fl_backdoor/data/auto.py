"""``dataset=auto``: CIFAR-10 where it can be had, otherwise 5,000 digits that need nothing."""

from fl_backdoor.core import plugins
from fl_backdoor.core.plugins import TARGET, Spec
from fl_backdoor.data.cifar10 import Cifar10
from fl_backdoor.data.contents import Contents
from fl_backdoor.data.dataset import Dataset, ImageDataset, Source
from fl_backdoor.data.mnist5k import Mnist5k

KEY = "dataset"


class Auto(ImageDataset):
    """Stands in the configuration until `resolve` replaces it; until then the shape of its images is open."""

    name = "auto"
    num_classes = 10
    wanted = Cifar10.wanted

    def locate(self) -> Source | None:
        """Return the files of CIFAR-10, if they are there."""
        return self._cifar10.locate()

    def decode(self, source: Source) -> Dataset:
        """Return the images of CIFAR-10."""
        return self._cifar10.decode(source)

    def contents(self) -> Contents | None:
        """Return which data CIFAR-10 is made of; None where it is not there."""
        return self._cifar10.contents()

    @property
    def _cifar10(self) -> Cifar10:
        root = str(self.root) if self.root_is_named else None
        return Cifar10(root=root, cache=str(self.cache), download=self.download)


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
