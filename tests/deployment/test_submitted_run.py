"""Runs that are submitted to a real SuperLink by several at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

from fl_backdoor.engine.deployment.address import read_secret, superlink_address
from fl_backdoor.engine.deployment.submitted_run import SubmittedRun

AT_ONCE = 6


def test_each_of_several_that_submit_at_once_gets_its_own_run(certs, secured):
    address = superlink_address(secured.address, str(certs / "ca.crt"), "no")
    secret = read_secret(str(certs / "superexec.secret"))
    together = threading.Barrier(AT_ONCE, timeout=60)

    def submit():
        run = SubmittedRun(address, secret, threading.Event(), print)
        together.wait()
        with run:
            together.wait()
            return run.grid.run.run_id

    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(submit) for _ in range(AT_ONCE)]
        assert len({run.result() for run in runs}) == AT_ONCE
