"""What goes wrong is told in one line and remembered; it ends nothing but the run that it happened to."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.redirect import Redirect

log = logging.getLogger("fl_backdoor")


class Reporting:
    """Tells the user what failed.

    Parameters
    ----------
    display, redirect
        Where that is said, and where the traceback is.
    """

    def __init__(self, display: Display, redirect: Redirect) -> None:
        self.display = display
        self.redirect = redirect
        self.failed = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Report what is raised inside."""
        try:
            yield
        except FlBackdoorError as error:
            self.fail(str(error))
        except Exception as error:  # a defect, or a machine that gave way: the other runs go on
            log.exception("the run failed")
            self.fail(f"{type(error).__name__}: {error}; the traceback is in {self.redirect.log}")

    def fail(self, text: str) -> None:
        """Say in one line what failed."""
        self.failed = True
        self.display.error(text)
