import subprocess
import sys
from pathlib import Path

import fl_backdoor

PACKAGE = Path(fl_backdoor.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for folder in ("analysis", "runs")
    for path in (PACKAGE / folder).rglob("*.py")
    if path.stem != "__init__"
)
HEAVY = ("torch", "flwr", "ray", "hydra", "matplotlib", "pandas")


def test_results_are_imported_without_anything_heavy():
    program = f"import sys, {', '.join(MODULES)}; print(*(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert len(MODULES) > 5
    assert done.stdout.strip() == ""
