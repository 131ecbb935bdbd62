"""Event files are read back with TensorBoard's own reader."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from fl_backdoor.runner.tracking.base import figures
from fl_backdoor.runner.tracking.tensorboard import TensorBoard


def follow(run, rows, status="finished"):
    tracker = TensorBoard()
    tracker.start(run)
    for row in rows:
        tracker.round_finished(row["server_round"], figures(row))
    tracker.finish(status)


def events(run):
    return EventAccumulator(
        str(run.folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0}
    ).Reload()


def scalars(found):
    return {tag: {event.step: event.value for event in found.Scalars(tag)} for tag in found.Tags()["scalars"]}


def single(rows):
    """Return the same figures in single precision."""
    return {tag: {step: float(np.float32(figure)) for step, figure in by.items()} for tag, by in rows.items()}


def texts(found):
    tags = found.PluginTagToContent("text")
    return {
        tag.removesuffix("/text_summary"): make_ndarray(found.Tensors(tag)[-1].tensor_proto).item().decode()
        for tag in tags
    }


def hyperparameters(found, tag):
    return HParamsPluginData.FromString(found.PluginTagToContent(metadata.PLUGIN_NAME)[tag])


def test_scalars_are_the_tables_in_single_precision(tracked, rows, tracked_rows):
    run = tracked()
    follow(run, rows)
    assert scalars(events(run)) == single(tracked_rows)


def test_settings_are_hyperparameters(tracked, rows):
    run = tracked()
    follow(run, rows)
    start = hyperparameters(events(run), metadata.SESSION_START_INFO_TAG).session_start_info.hparams
    assert start["attack.alpha"].number_value == 0.052
    assert start["strategy._target_"].string_value == "strategies.FedAvg"
    assert "attack.last_round" not in start


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("finished", api_pb2.STATUS_SUCCESS),
        ("failed", api_pb2.STATUS_FAILURE),
        ("diverged", api_pb2.STATUS_FAILURE),
        ("stopped", api_pb2.STATUS_UNKNOWN),
    ],
)
def test_the_end_is_told(tracked, rows, status, shown):
    run = tracked()
    follow(run, rows, status)
    found = events(run)
    assert hyperparameters(found, metadata.SESSION_END_INFO_TAG).session_end_info.status == shown
    assert texts(found)["status"] == status
    assert texts(found)["seed"] == "7"


def test_a_run_that_was_cut_off_goes_on_in_the_same_place(tracked, rows, tracked_rows):
    """All rounds are told again; round 2 had been told before it was lost."""
    follow(tracked(), [rows[0], rows[1], rows[2] | {"num_replies": 99}], "stopped")
    follow(tracked(), rows)
    found = events(tracked())
    assert scalars(found) == single(tracked_rows)
    assert texts(found)["status"] == "finished"
    assert texts(found)["seed"] == "7"
