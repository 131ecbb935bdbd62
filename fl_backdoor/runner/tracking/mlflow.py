"""MLflow: a run in an SQLite file, or on a server.

``mlflow-skinny`` is enough: its SQLite store needs SQLAlchemy and Alembic beside it, as Flower does. The
pages to look at come with the whole package: ``mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db``.
"""

import os
import time
from collections.abc import Mapping, Set
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fl_backdoor.runner.tracking import note
from fl_backdoor.runner.tracking.base import TrackedRun, Tracker, text
from fl_backdoor.runs.columns import ACCURACY_COLUMNS
from fl_backdoor.runs.lock import only_writer
from fl_backdoor.runs.summary import Status

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SQLITE = "sqlite:///"
ALWAYS_THERE = ACCURACY_COLUMNS[0]
"""A metric that each round has."""

ARTEFACTS = ("config.yaml", "summary.json", "*.png")

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}
"""Unless the user sets these otherwise: nothing is reported to anybody, logging is left alone, and a server
that is not there is given up after seconds, not minutes."""

STATUS = {"finished": "FINISHED", "diverged": "FAILED", "stopped": "KILLED", "failed": "FAILED"}


class MLflow(Tracker):
    """Metrics by column, settings as parameters, summary and figures as artefacts.

    Parameters
    ----------
    uri
        MLflow's tracking URI: ``sqlite:///path``, or the address of a server. Credentials go by MLflow's own
        environment variables.
    experiment
        Name of the experiment; None: that of the folder that the run's folder is in, so that a multirun has
        an experiment of its own.
    """

    packages: ClassVar[tuple[str, ...]] = ("mlflow",)
    extra: ClassVar[str] = "mlflow"

    _client: "MlflowClient"
    _run_id: str
    _folder: Path
    _told: Set[int] = frozenset()

    def __init__(self, uri: str, experiment: str | None = None) -> None:
        self.uri = uri
        self.experiment = experiment

    def start(self, run: TrackedRun) -> None:
        """Go on with the run that is noted in the folder, or create one and note it there."""
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        self._folder = run.folder
        # Two processes that create the tables of one file at a time break it for each other.
        with only_writer(self._artefacts, wait=True) if self._artefacts else nullcontext():
            self._client = MlflowClient(self.uri)
            noted = note.read(self._folder, self.uri)
            self._create(run) if noted is None else self._go_on(noted)

    def round_finished(self, server_round: int, figures: Mapping[str, float]) -> None:
        """Log a metric a column."""
        from mlflow.entities import Metric

        if server_round in self._told:
            return
        now = round(1000 * time.time())
        metrics = [Metric(name, figure, now, server_round) for name, figure in figures.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def finish(self, status: Status) -> None:
        """Close the run, and leave a copy of its summary and figures there."""
        self._client.set_tag(self._run_id, "status", status)
        self._client.set_terminated(self._run_id, STATUS[status])
        for file in sorted(file for pattern in ARTEFACTS for file in self._folder.glob(pattern)):
            self._client.log_artifact(self._run_id, str(file))

    @property
    def _artefacts(self) -> Path | None:
        """Where artefacts go beside a file; MLflow itself takes the working directory. None: a server."""
        file = Path(self.uri.removeprefix(SQLITE)) if self.uri.startswith(SQLITE) else None
        return file and file.parent.resolve() / "mlflow_artifacts"

    def _go_on(self, run_id: str) -> None:
        self._run_id = run_id
        self._client.update_run(run_id, status="RUNNING")
        self._told = {point.step for point in self._client.get_metric_history(run_id, ALWAYS_THERE)}

    def _create(self, run: TrackedRun) -> None:
        from mlflow.entities import Param

        experiment = self._experiment_id(self.experiment or run.folder.resolve().parent.name)
        tags = {"mlflow.note.content": run.title, **run.tags()}
        self._run_id = self._client.create_run(experiment, run_name=run.folder.name, tags=tags).info.run_id
        # Noted first: whatever happens from now on, this run is found again.
        note.write(run.folder, self.uri, self._run_id)
        params = [Param(key, text(value)) for key, value in run.settings.items()]
        self._client.log_batch(self._run_id, params=params)

    def _experiment_id(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        if (found := self._client.get_experiment_by_name(name)) is not None:
            return found.experiment_id
        try:
            location = self._artefacts.as_uri() if self._artefacts else None
            return self._client.create_experiment(name, artifact_location=location)
        except MlflowException:
            # Another run of the same multirun may have been faster.
            if (found := self._client.get_experiment_by_name(name)) is None:
                raise
            return found.experiment_id
