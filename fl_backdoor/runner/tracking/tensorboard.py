"""TensorBoard: event files in the run's folder.

They are written by ``torch.utils.tensorboard``, which needs the package ``tensorboard`` itself; that one also
brings the program to look at them, ``tensorboard --logdir outputs``.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from fl_backdoor.runner.tracking.base import TrackedRun, Tracker, text
from fl_backdoor.runs.columns import ACCURACY_COLUMNS
from fl_backdoor.runs.summary import Status

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


class TensorBoard(Tracker):
    """Scalars by column, settings as hyperparameters, tags and status as text."""

    packages: ClassVar[tuple[str, ...]] = ("tensorboard",)
    extra: ClassVar[str] = "tensorboard"

    _writer: "SummaryWriter"

    def start(self, run: TrackedRun) -> None:
        """Open an event file; beside earlier ones, what they hold is void, since it is told again."""
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / FOLDER
        self._writer = SummaryWriter(str(folder), purge_step=0 if folder.exists() else None)
        self._describe(run)
        self._writer.flush()

    def round_finished(self, server_round: int, figures: Mapping[str, float]) -> None:
        """Write a scalar a column, in single precision: TensorBoard's data server passes over others."""
        for name, figure in figures.items():
            self._writer.add_scalar(name, figure, server_round)
        self._writer.flush()

    def finish(self, status: Status) -> None:
        """Write the status, and close the file."""
        self._write(_session_end(status))
        self._writer.add_text("status", status)
        self._writer.close()

    def _write(self, summary: "Summary") -> None:
        writer = self._writer.file_writer
        assert writer is not None
        writer.add_summary(summary)

    def _describe(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard.summary import hparams

        settings = {key: value for key, value in run.settings.items() if value is not None}
        experiment, start, _ = hparams(settings, dict.fromkeys(ACCURACY_COLUMNS))  # type: ignore[no-untyped-call]
        self._write(experiment)
        self._write(start)
        for name, value in {"title": run.title, **run.tags()}.items():
            self._writer.add_text(name, text(value))


def _session_end(status: Status) -> "Summary":
    """Return what TensorBoard's table of hyperparameters shows as the status; stopped is unknown to it."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    failure = api_pb2.STATUS_FAILURE
    known = {"finished": api_pb2.STATUS_SUCCESS, "diverged": failure, "failed": failure}
    end = SessionEndInfo(status=known.get(status, api_pb2.STATUS_UNKNOWN), end_time_secs=time.time())
    content = HParamsPluginData(session_end_info=end, version=metadata.PLUGIN_DATA_VERSION)
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString())
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=SummaryMetadata(plugin_data=plugin))
    return Summary(value=[value])
