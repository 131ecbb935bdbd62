"""Tiny-ImageNet: 110,000 photographs of 64 x 64, 200 classes; 500 of each to train, 50 of each to test.

They are read as the archive unpacks, from ``<root>/tiny-imagenet-200``: training images in
``train/<class>/images``, and in the place of test images, whose classes nobody publishes, those of
``val/images``, of which ``val_annotations.txt`` says the classes. Many move these into a folder for each
class, ``val/<class>``: that is read as well. ``words.txt`` says what the classes are called; they are
numbered in the order of their folders' names.

Source: http://cs231n.stanford.edu/tiny-imagenet-200.zip
Cite: Y. Le and X. Yang, "Tiny ImageNet Visual Recognition Challenge", CS 231N, Stanford University, 2015.
"""

from collections import Counter
from pathlib import Path

from fl_backdoor.core.errors import DataError
from fl_backdoor.core.types import PositiveCount
from fl_backdoor.data.dataset import Source
from fl_backdoor.data.image_folder import ImageFolder, Labelled, images_below, labelled
from fl_backdoor.data.moments import OWN, Given
from fl_backdoor.data.stretched import readable

VALIDATION, ANNOTATIONS, WORDS = "val", "val_annotations.txt", "words.txt"


class TinyImageNet(ImageFolder):
    """Tiny-ImageNet; see the module.

    Parameters
    ----------
    folder
        What the archive unpacks to, from `root` or absolute.
    root, cache, size, mean, std
        As in `StretchedImages`.

    Raises
    ------
    DataError
        If there is no such folder, or images and annotations are not those of each other.
    """

    name = "tiny_imagenet"

    def __init__(
        self,
        *,
        folder: str = "tiny-imagenet-200",
        root: str | None = None,
        cache: str | None = None,
        size: PositiveCount = 64,
        mean: Given = OWN,
        std: Given = OWN,
    ) -> None:
        super().__init__(folder=folder, root=root, cache=cache, size=size, mean=mean, std=std)
        self.class_names = self._called(self.class_names)

    def locate(self) -> Source:
        """Return all images, and what says of which class they are."""
        texts = [self.folder / VALIDATION / ANNOTATIONS, self.folder / WORDS]
        images = super().locate()
        return Source(images.folder, (*images.files, *(file for file in texts if file.is_file())))

    def _tested(self) -> Labelled:
        images = self.folder / VALIDATION / "images"
        if not images.is_dir():
            return labelled(self.folder / VALIDATION)
        file = self.folder / VALIDATION / ANNOTATIONS
        classes = dict(line.split("\t")[:2] for line in _lines(file))
        present = {image.name: image for image in images_below(images)}
        for names, others, what in (
            (classes, present, f"{ANNOTATIONS} names {{}}, which is not in {VALIDATION}/images"),
            (present, classes, f"{ANNOTATIONS} does not name {VALIDATION}/images/{{}}"),
        ):
            if alone := sorted(names.keys() - others.keys()):
                raise DataError(f"dataset.folder: {readable(file.parent)}: {what.format(readable(alone[0]))}")
        return [(classes[name], image) for name, image in sorted(present.items())]

    def _called(self, folders: tuple[str, ...]) -> tuple[str, ...]:
        """Return what classes are called, with their folders' names where that is unknown or ambiguous."""
        file = self.folder / WORDS
        words = dict(line.split("\t")[:2] for line in _lines(file)) if file.is_file() else {}
        shared = Counter(words.get(folder, folder) for folder in folders)
        called = ((folder, words.get(folder, folder)) for folder in folders)
        return tuple(word if shared[word] == 1 else f"{word} ({folder})" for folder, word in called)


def _lines(file: Path) -> list[str]:
    """Return the lines of a table that have at least two columns, apart by tabulators."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"dataset.folder: {readable(file)} cannot be read ({error})") from error
    return [line for line in lines if "\t" in line]
