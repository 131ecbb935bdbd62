"""A home folder for those who have none: a container's user, say, whom no password file knows.

Caches, and the libraries under this package, ask for one and end with a traceback where there is none.
"""

import os
import tempfile
from pathlib import Path


def see_that_there_is_one() -> None:
    """Take a folder among the temporary ones where neither HOME nor the system names one."""
    try:
        Path.home()
    except RuntimeError:
        home = Path(tempfile.gettempdir()) / f"fl_backdoor-home-{os.getuid()}"
        home.mkdir(mode=0o700, exist_ok=True)
        os.environ["HOME"] = str(home)
