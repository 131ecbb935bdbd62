"""CIFAR-100: 60,000 photographs, 50,000 to train and 10,000 to test, a hundred classes of the same size.

Images are uint8 ``(3, 32, 32)``, red, green, blue, 0 to 255; labels are int64, the fine classes, 0 apple to
99 worm. They are laid out as CIFAR-10 is, in `root` or ``root/cifar100``: ``cifar-100-python``, as
torchvision downloads it, or the parquet files of ``uoft-cs/cifar100`` on Hugging Face.

Source: https://www.cs.toronto.edu/~kriz/cifar.html
Cite: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, University of
Toronto, 2009.
"""

from fl_backdoor.data.cifar10 import Cifar10

BATCHES = "cifar-100-python"
URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"

PUBLISHED_BATCHES = "c1c2ac3e5283f6ce"
"""Fingerprint of torchvision's files, by their published MD5 sums."""

CLASS_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""


class Cifar100(Cifar10):
    """CIFAR-100; see the module and `Cifar10`."""

    name = "cifar100"
    num_classes = 100
    class_names = tuple(CLASS_NAMES.split())
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)
    wanted = f"{BATCHES}/ or train-*.parquet and test-*.parquet"
    batches = BATCHES
    torchvision_name = "CIFAR100"
    label_column = "fine_label"
    config = "cifar100"
    published = frozenset({PUBLISHED_BATCHES})

    def url(self) -> str:
        """Return the address that torchvision downloads from."""
        return URL
