"""Any set of torchvision.datasets that has images of one class each: ``dataset.set=SVHN``.

Its files lie in ``<root>/<set>``, which is the folder that torchvision calls root; where torchvision's own
folder has the set's name (``MNIST``, ``gtsrb``, ``flowers-102``), it may lie in `root` itself. What is not
there is downloaded by torchvision, and so are the test images.

torchvision's classes tell training from test images by ``train=True`` or by ``split="train"``; which of the
two follows from the signature. Images come out as `fl_backdoor.data.stretched` says; classes are numbered as
torchvision numbers them.
"""

import inspect
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.core.types import PositiveCount
from fl_backdoor.data.dataset import Dataset, Source, Split
from fl_backdoor.data.moments import Given
from fl_backdoor.data.named_images import NamedImages, class_number, files_below, refuse_unlabelled

if TYPE_CHECKING:
    from PIL.Image import Image

Keywords = dict[str, Any]

SPLITS = {"train": ("train", "trainval", "train-standard"), "test": ("test", "val", "valid")}
"""What torchvision's sets call the two parts, the preferred ones first."""


class TorchvisionSet(NamedImages):
    """A set of torchvision; see the module and `NamedImages`.

    Parameters
    ----------
    set
        The name of its class in torchvision.datasets.
    keywords
        What its constructor needs besides, e.g. ``{split: letters}`` for EMNIST.
    train, test
        The keywords that choose training and test images; null: found out.
    root, cache, download, size, channels, mean, std
        As in `StretchedImages`.
    """

    name = "torchvision"

    def __init__(
        self,
        *,
        set: str,  # noqa: A002 - what a user writes
        keywords: Keywords | None = None,
        train: Keywords | None = None,
        test: Keywords | None = None,
        root: str | None = None,
        cache: str | None = None,
        download: bool = True,
        size: PositiveCount = 32,
        channels: Literal[1, 3] = 3,
        mean: Given = None,
        std: Given = None,
    ) -> None:
        chosen = {"keywords": keywords or {}, "train": train or {}, "test": test or {}}
        super().__init__(
            set,
            chosen,
            root=root,
            cache=cache,
            download=download,
            size=size,
            channels=channels,
            mean=mean,
            std=std,
        )
        self.set, self.chosen = set, chosen
        self.wanted = f"{set}/ with its files"

    def locate(self) -> Source | None:
        """Return all files of the set."""
        return files_below(self._folders(), self.root)

    def decode(self, source: Source) -> Dataset:
        """Return the images that torchvision reads, of one shape."""
        train, test = self._parts()
        names = getattr(train, "classes", None)
        return self.together(
            self._read("train", train), self._read("test", test), names and [_as_text(name) for name in names]
        )

    def fetch(self, folder: Path) -> Path:
        """Download with torchvision."""
        own = folder / self.set
        own.mkdir()
        for which in SPLITS:
            try:
                self._part(own, which, download=True)
            except FlBackdoorError:
                raise
            except Exception as error:  # each set downloads in its own way
                raise RuntimeError(str(error)) from error
        return own

    def _no_download(self) -> str | None:
        can_download = "download" in _parameters(self._class())
        if not self.download:
            return super()._no_download()
        return None if can_download else "torchvision cannot download it"

    def _folders(self) -> list[Path]:
        """Return the folders in `root` that have the set's name, whatever the case and the punctuation."""
        entries = sorted(self.root.iterdir()) if self.root.is_dir() else []
        return [entry for entry in entries if entry.is_dir() and _plain(entry.name) == _plain(self.set)]

    def _class(self) -> type[Any]:
        from torchvision import datasets

        sets = {name: getattr(datasets, name) for name in sorted(datasets.__all__)}
        sets = {name: one for name, one in sets.items() if "root" in inspect.signature(one).parameters}
        if self.set in sets:
            return sets[self.set]  # type: ignore[no-any-return]
        known = {name.lower(): name for name in sets}
        near = [known[name] for name in get_close_matches(self.set.lower(), known)]
        meant = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(sets)}"
        raise ConfigError("dataset.set", self.set, f"no such class in torchvision.datasets; {meant}")

    def _parts(self) -> list[Any]:
        """Return training and test images from the first folder where torchvision finds both."""
        faults = []
        for folder in (*self._folders(), self.root):
            try:
                return [self._part(folder, which) for which in SPLITS]
            except (OSError, RuntimeError) as error:
                faults.append(f"{folder}: {error}")
        raise ValueError("; ".join(faults))

    def _part(self, folder: Path, which: str, **settings: bool) -> Any:  # noqa: ANN401 - torchvision is not typed
        """Return training or test images below `place`; raises what torchvision raises."""
        unknown = []
        for choice in self._choices(which):
            given = {**self.chosen["keywords"], **choice}
            self._refuse_incomplete(given)
            try:
                return self._class()(folder, **given, **settings)
            except TypeError as error:
                raise ConfigError("dataset.set", self.set, f"does not take {given} ({error})") from error
            except ValueError as error:
                if "Unknown value" not in str(error):  # torchvision's verify_str_arg says so
                    raise
                unknown.append(error)
        chosen = self.chosen[which] or None
        raise ConfigError(f"dataset.{which}", chosen, f"torchvision's {self.set}: {unknown[0]}")

    def _choices(self, which: str) -> list[Keywords]:
        if self.chosen[which]:
            return [self.chosen[which]]
        parameters = _parameters(self._class())
        if "train" in parameters:
            return [{"train": which == "train"}]
        if "split" in parameters:
            return [{"split": name} for name in SPLITS[which]]
        raise ConfigError(
            "dataset.set",
            self.set,
            "torchvision does not divide it into training and test images by train= or split=; name what "
            "does, dataset.train={…} dataset.test={…}, or lay it out for dataset=image_folder",
        )

    def _refuse_incomplete(self, given: Keywords) -> None:
        lacking = [
            name
            for name, parameter in _parameters(self._class()).items()
            if parameter.default is parameter.empty and name not in ("root", *given)
        ]
        if lacking:
            example = ",".join(f"{name}:…" for name in lacking)
            raise ConfigError(
                "dataset.set", self.set, f"needs {', '.join(lacking)} as well: dataset.keywords={{{example}}}"
            )

    def _read(self, which: str, part: Any) -> Split:  # noqa: ANN401 - torchvision is not typed
        split = self.stretched(which, len(part), self._labelled(part))
        refuse_unlabelled(split, f"dataset.{which}", self.chosen[which] or None)
        return split

    def _labelled(self, part: Any) -> "Iterator[tuple[Image, int]]":  # noqa: ANN401
        from PIL.Image import Image

        for row in range(len(part)):
            item = part[row]
            try:
                image, label = item
                number = class_number(label)
                if not isinstance(image, Image):
                    raise TypeError("no image")
            except (TypeError, ValueError) as error:
                kinds = ", ".join(type(value).__name__ for value in item)
                raise ConfigError(
                    "dataset.set", self.set, f"is not made of images and one class each, but of ({kinds})"
                ) from error
            yield image, number


def _parameters(of: type[Any]) -> dict[str, inspect.Parameter]:
    """Return the keywords of a constructor, and where it hands on others, those of the class above it."""
    found: dict[str, inspect.Parameter] = {}
    for parent in of.__mro__:
        parameters = list(inspect.signature(parent).parameters.values())
        named = [one for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
        found = {one.name: one for one in named} | found
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            return found
    return found


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _as_text(name: object) -> str:
    """Return the name of a class, of which ImageNet has several."""
    return name if isinstance(name, str) else ", ".join(map(str, name))  # type: ignore[call-overload]
