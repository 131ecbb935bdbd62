"""What Hydra is given to call for each run."""

import io
import pickle

from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.redirect import Redirect
from fl_backdoor.runner.jobs import Jobs, make_at_once


def test_a_launcher_sends_what_makes_a_run_where_it_arrives():
    with Redirect() as redirect, Display(io.StringIO(), terminal=False) as display:
        arrived = pickle.loads(pickle.dumps(Jobs(display, redirect)))
    assert arrived.func is make_at_once
