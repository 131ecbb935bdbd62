"""``python -m tests.golden`` writes down what the runs come to on this machine; explain any change of it."""

import json

from tests.golden.in_process import RULES, configured, machine, made
from tests.golden.test_golden import FILE, golden


def main() -> None:
    """Make all runs, and put their results into the file."""
    found = {rule: made(configured(f"strategy={rule}")) for rule in RULES}
    metrics = {rule: run.pop("metrics") for rule, run in found.items()}
    known = golden()
    known["metrics"] = metrics
    known["bits"][machine()] = found
    FILE.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
