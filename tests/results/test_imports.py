import subprocess
import sys
from pathlib import Path

import fl_backdoor.results

FOLDER = Path(fl_backdoor.results.__file__).parent
MODULES = sorted(
    f"fl_backdoor.results.{'.'.join(path.relative_to(FOLDER).with_suffix('').parts)}"
    for path in FOLDER.rglob("*.py")
    if path.stem != "__init__"
)
HEAVY = ("torch", "flwr", "ray", "hydra", "matplotlib", "pandas")


def test_results_are_imported_without_anything_heavy():
    program = f"import sys, {', '.join(MODULES)}; print(*(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=FOLDER.parents[1], capture_output=True, text=True, check=True
    )
    assert len(MODULES) > 5
    assert done.stdout.strip() == ""
