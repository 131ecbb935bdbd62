"""What a GPU does here, in under ten minutes: the tests that need one, samples a second, rounds of a table.

Samples a second are those of ResNet-18 and ResNet-9 with 1 to 4 processes, beside the rate of a large product
of bfloat16 matrices; then as many rounds of Lockdown's table 4 as time is left for. Each figure is written
when it is known. Flower and Ray need not be installed; pydantic must be, for the table Hydra too, and its
accuracy needs CIFAR-10 in ``FL_BACKDOOR_DATA``. Without a GPU a small model is trained on the processor, to
show that everything works: the step is not recorded there, and what needs a GPU is skipped.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

from benchmarks import published_rounds
from benchmarks.measure import Figure, Scale
from benchmarks.training_rate import LOOPS, Setting, device, matmul_rate, rates

REPOSITORY = Path(__file__).parents[1]
LIMIT_SECONDS, SECONDS_OF_RATES = 560.0, 330.0
"""When the last round of the table begins at the latest; when no more processes are started."""


def measure(scale: Scale) -> Iterator[Figure]:
    """Run the tests, measure rates until their time is over, and train rounds for the rest of the time."""
    started = time.monotonic()
    small = scale.small or device().type == "cpu"
    if not scale.small:
        yield from _tests()
    peak = max(matmul_rate(1024 if small else 8192) for _ in range(scale.repeats))
    yield Figure(f"product of matrices on {device().type}", "arithmetic", "TFLOP/s", (peak / 1e12,))
    models = ("cnn.CNN",) if small else ("resnet18.resnet18", "resnet9.ResNet9")
    for num_workers, model in product((2,) if small else (1, 4, 2, 3), models):
        if time.monotonic() - started < SECONDS_OF_RATES:
            yield from rates(_setting(model, scale, small), num_workers, peak)
    yield from published_rounds.measure(small, started + LIMIT_SECONDS)


def _setting(model: str, scale: Scale, small: bool) -> Setting:
    if small:
        return Setting(model, LOOPS[:2], 32, 64, 0.1, scale.repeats)
    return Setting(model, LOOPS, 64, 1280, 1.5, scale.repeats)


def _tests() -> Iterator[Figure]:
    """Run the files with tests that need a GPU; those tests are skipped where there is none."""
    found = (REPOSITORY / "tests").rglob("test_*.py")
    files = sorted(file for file in found if "needs_gpu" in file.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        subprocess.run([*program, *files], cwd=REPOSITORY, check=False, stdout=sys.stderr)
        suite = next(ElementTree.parse(report).iter("testsuite"))
    for outcome in ("tests", "failures", "errors", "skipped"):
        yield Figure("files with tests that need a GPU", outcome, "", (float(suite.attrib[outcome]),))
