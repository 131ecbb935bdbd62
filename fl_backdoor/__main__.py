"""``python -m fl_backdoor COMMAND …``: the same as ``fl-backdoor COMMAND …``."""

from fl_backdoor.cli.program import main
from fl_backdoor.runner.display.terminal import as_process

if __name__ == "__main__":
    as_process(main)
