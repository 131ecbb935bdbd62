"""A node whose clients do nothing: ``python -m benchmarks.idle_node HOST:PORT CLIENT_ID``."""

import sys

from benchmarks.idle import app
from fl_backdoor.engine.deployment.address import superlink_address
from fl_backdoor.engine.deployment.node import NodeProcess
from fl_backdoor.federation.hosting import Hosting


def main() -> None:
    """Serve until killed."""
    address, client_id = sys.argv[1:]
    superlink = superlink_address(address, None, "loopback")
    NodeProcess(superlink, None, Hosting((int(client_id),)), app, tell=print).serve()


if __name__ == "__main__":
    main()
