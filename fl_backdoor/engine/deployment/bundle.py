"""The Flower app that a run names: it holds no code, only where the installed code is.

Nodes run what was installed on them by their owners. A bundle with nothing but names in it lets Flower's own
programs find it, and nothing that a SuperLink hands out is ever executed.
"""

import tomli_w
from flwr.cli.build import build_fab_from_files

from fl_backdoor import __version__

PUBLISHER = "fl-backdoor"
PACKAGE = "fl-backdoor"
COMPONENTS = {
    "serverapp": "fl_backdoor.cli.flower_app:server",
    "clientapp": "fl_backdoor.federation.client_app:app",
}
RUN_CONFIG = {"experiment": "", "overrides": ""}
"""What ``flwr run -c`` can set: a whole configuration as JSON, or Hydra's overrides of the default one."""


def bundle(submission: str) -> bytes:
    """Return the app in Flower's bundle format; its bytes, and so its hash, are those of one `submission`."""
    project = {
        "project": {"name": PACKAGE, "version": __version__, "dependencies": []},
        "tool": {
            "flwr": {"app": {"publisher": PUBLISHER, "components": COMPONENTS, "config": RUN_CONFIG}},
            PACKAGE: {"submission": submission},
        },
    }
    return build_fab_from_files({"pyproject.toml": tomli_w.dumps(project).encode()})[0]
