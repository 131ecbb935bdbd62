"""The server app that Flower starts by itself: ``flwr run . CONNECTION -c 'overrides="strategy=hybrid"'``.

It runs beside the SuperLink and writes the run folder there. `python -m fl_backdoor.main engine=deployment`
needs no such process: it is the server app itself, see `fl_backdoor.engine.deployment.submitted_run`.
"""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fl_backdoor.config.schema import DeploymentConfig, ExperimentConfig, parse_json, parse_whole
from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.engine.deployment.engine import OnGrid
from fl_backdoor.runner.display.live import Display

server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run the experiment that the run's configuration describes on the nodes of `grid`.

    Raises
    ------
    FlBackdoorError
        If it cannot be run; Flower marks the run as failed.
    """
    from fl_backdoor.runner.display.redirect import Redirect
    from fl_backdoor.runner.rehearsal import ready
    from fl_backdoor.runner.session import Session

    config = configuration(context.run_config)
    assert isinstance(config.engine, DeploymentConfig)
    # Flower passes on what is written to sys.stdout: `flwr log` shows it.
    with Redirect() as redirect, Display(sys.stdout, terminal=False) as display:
        session = Session(display, redirect, engine=OnGrid(grid, config.engine, display.line))
        try:
            session.run(ready(config), Path(config.outputs) / f"flwr-run-{context.run_id}")
        finally:
            session.close()


def configuration(run_config: Mapping[str, Any]) -> ExperimentConfig:
    """Return the experiment that ``flwr run`` asks for.

    Parameters
    ----------
    run_config
        ``experiment``: a whole configuration as JSON; or ``overrides`` of the default one, as on the command
        line.

    Raises
    ------
    FlBackdoorError
        If it asks for none that can be run.
    """
    experiment, overrides = str(run_config["experiment"]), str(run_config["overrides"])
    if experiment and overrides:
        raise FlBackdoorError("run config: set experiment or overrides, not both")
    if experiment:
        config = parse_json(experiment)
    else:
        from fl_backdoor.runner.composition import composed

        config, _ = parse_whole(next(composed(["engine=deployment", *shlex.split(overrides)])))
    if not isinstance(config.engine, DeploymentConfig):
        raise ConfigError("engine.name", config.engine.name, "must be deployment")
    return config
