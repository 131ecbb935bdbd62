"""A run's folder: written as the run goes on, so that nothing finished is ever lost.

============================  ====================================================================
``config.yaml``               the resolved configuration; notices stand above it as comments
``rounds.csv``                a row a round, see `columns.ROUND_COLUMNS`
``clients.csv``               a row per client and round, see `columns.CLIENT_COLUMNS`
``data.json``                 which data it is made on: a fingerprint of their files
``class_accuracy.csv``        a row a round: accuracy on clean test samples of each class
``labels.csv``                a row per client: how many training samples of each class it has
``model.safetensors``         the last global model
``best_model.safetensors``    with ``keep_best=true`` the most accurate one, see `best_model`
``summary.json``              see `summary`
``accuracy_and_success.png``  the figures by round
``checkpoint/``               while it is not finished: what it goes on from, see `checkpoint`
============================  ====================================================================
Tables and configuration are there at any time, model and summary once the run has ended, however it did; the
figure follows when `RunFolder.draw` is called.
"""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core import files, table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.growing import GrowingFile, Prefix, prefix_of
from fl_backdoor.runs import checkpoint, client_table, round_table
from fl_backdoor.runs.checkpoint import Progress
from fl_backdoor.runs.columns import CLASS_ACCURACY, CLIENT_COLUMNS, ROUND_COLUMNS
from fl_backdoor.runs.runs import DATA
from fl_backdoor.runs.summary import RunFacts, Status, summarize

LAST_MODEL = "model.safetensors"


class RunFolder:
    """Writes one run.

    Parameters
    ----------
    path
        The folder; made by `start`, others' files in it are left alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: list[str] = []
        self._started_at = datetime.now(UTC)
        self._started = time.perf_counter()
        self._round_columns: tuple[str, ...] = ROUND_COLUMNS
        self._client_columns: tuple[str, ...] = CLIENT_COLUMNS
        self._rounds, self._clients = GrowingFile(self.rounds_csv), GrowingFile(self.clients_csv)
        self._classes = GrowingFile(path / CLASS_ACCURACY)
        self._class_columns: tuple[str, ...] = ()
        self._unchanging: dict[str, Prefix] = {}

    @property
    def rounds_csv(self) -> Path:
        """The table with a row a round."""
        return self.path / "rounds.csv"

    @property
    def clients_csv(self) -> Path:
        """The table with a row per client and round."""
        return self.path / "clients.csv"

    @property
    def figure(self) -> Path:
        """Accuracy, ASR and SR by round."""
        return self.path / "accuracy_and_success.png"

    def start(self, config: Mapping[str, Any], notices: Sequence[str], *, anew: bool = False) -> None:
        """Make the folder, write the resolved `config` (plain values) and begin the tables.

        Parameters
        ----------
        config
            The resolved configuration.
        notices
            What the user must not miss, a line each.
        anew
            Whether to write over what a run that ended before its first round has left.

        Raises
        ------
        FlBackdoorError
            If the folder holds a run already, or cannot be written.
        """
        self._started_at, self._started = datetime.now(UTC), time.perf_counter()
        self.notices.extend(notices)
        if self.rounds_csv.exists() and not anew:
            raise FlBackdoorError(
                f"{self.path} holds a run already: choose another folder, or go on with resume={self.path}"
            )
        with files.one_line_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self.clear_drafts()
        self._forget_end()
        self._write("config.yaml", _yaml(config, self.notices))
        self._clients.begin(table.header(CLIENT_COLUMNS))
        self._rounds.begin(table.header(ROUND_COLUMNS))

    def go_on(self, notices: Sequence[str], progress: Progress) -> None:
        """Take the tables back to where they were after the last finished round, and the clock as well.

        All of it was checked when `progress` was loaded; here the folder is touched for the first time.

        Raises
        ------
        FlBackdoorError
            If the tables cannot be written.
        """
        self.notices.extend(notices)
        self.clear_drafts()
        self._forget_end()
        self._unchanging = dict(progress.files)
        self._clients.go_on(self._unchanging.pop(self.clients_csv.name))
        self._rounds.go_on(self._unchanging.pop(self.rounds_csv.name))
        self._round_columns = round_table.columns_of(self.rounds_csv)
        self._client_columns = client_table.columns_of(self.clients_csv)
        if CLASS_ACCURACY in self._unchanging:  # earlier versions had none: such a run goes on without
            self._classes.go_on(self._unchanging.pop(CLASS_ACCURACY))
            self._class_columns = table.read_any(self._classes.path)[0]
        self._started_at = datetime.fromisoformat(progress.started_at)
        self._started = time.perf_counter() - progress.wall_seconds

    def progress(self, server_round: int) -> Progress:
        """Return how far the run is; the rows of `server_round` must be on the disk."""
        return Progress(
            server_round=server_round,
            files={
                **self._unchanging,
                self.clients_csv.name: self._clients.prefix,
                self.rounds_csv.name: self._rounds.prefix,
                **({CLASS_ACCURACY: self._classes.prefix} if self._class_columns else {}),
            },
            started_at=self._started_at.isoformat(timespec="seconds"),
            wall_seconds=time.perf_counter() - self._started,
        )

    def write_labels(self, counts: NDArray[np.int64], class_names: Sequence[str]) -> None:
        """Write how many training samples of each class each client has, int64 ``(n_clients, n_classes)``.

        Raises
        ------
        FlBackdoorError
            If the table cannot be written.
        """
        columns = ("client_id", *class_names)
        rows = [dict(zip(columns, (client, *row), strict=True)) for client, row in enumerate(counts)]
        self._write("labels.csv", table.header(columns) + table.lines(rows, columns))

    def begin_class_accuracy(self, class_names: Sequence[str]) -> None:
        """Begin the table with a column a class; raises like `write_labels`."""
        self._class_columns = ("server_round", *class_names)
        self._classes.begin(table.header(self._class_columns))

    def append_class_accuracy(self, server_round: int, accuracies: NDArray[np.float64]) -> None:
        """Put a round's accuracies on the disk, float64 ``(n_classes,)``, where there is a table for them.

        Raises
        ------
        FlBackdoorError
            If the table cannot be written.
        """
        if self._class_columns:
            row = dict(zip(self._class_columns, (server_round, *accuracies), strict=True))
            self._classes.append(table.lines([row], self._class_columns))

    def write_data(self, fingerprint: str, *, is_published: bool) -> None:
        """Write which data the run is made on; raises like `write_labels`.

        Parameters
        ----------
        fingerprint
            Follows from the bytes of the data's files.
        is_published
            Whether the data set's name says all of them.
        """
        self._write(DATA, _json({"fingerprint": fingerprint, "published": is_published}))

    def append(self, round_row: Mapping[str, object], client_rows: Sequence[Mapping[str, object]]) -> None:
        """Put a finished round on the disk.

        Raises
        ------
        ValueError
            If a row has not just the declared columns; nothing is written then.
        FlBackdoorError
            If the tables cannot be written.
        """
        round_line = round_table.line(round_row, self._round_columns)
        client_lines = client_table.lines(client_rows, self._client_columns)
        # A round whose row is there is complete: its clients come first.
        self._clients.append(client_lines)
        self._rounds.append(round_line)

    def finish(self, status: Status, model: Mapping[str, NDArray[np.generic]], facts: RunFacts) -> Status:
        """Write the model and the summary; works after any number of rounds, also none.

        Parameters
        ----------
        status
            How the run ended, as far as the caller knows.
        model
            Tensors of the last global model by name; empty: no model file.
        facts
            What else the summary tells.

        Returns
        -------
        status
            How it ended: a run that finished may have diverged.

        Raises
        ------
        FlBackdoorError
            If a file cannot be written, or the run's own tables were damaged.
        """
        from safetensors.numpy import save

        if model:
            arrays = {name: np.asarray(array, order="C") for name, array in model.items()}
            files.replace(self.path / LAST_MODEL, save(arrays))
        rounds = round_table.read(self.rounds_csv)
        clients = client_table.read(self.clients_csv)
        summary = summarize(
            status,
            facts,
            rounds=rounds,
            clients=clients,
            notices=self.notices,
            started_at=self._started_at,
            wall_seconds=time.perf_counter() - self._started,
        )
        files.replace(self.path / "summary.json", _json(summary))
        ended: Status = summary["status"]
        return ended

    def clear_drafts(self) -> None:
        """Remove what processes that were killed while they wrote have left."""
        files.remove_drafts(self.path)
        files.remove_drafts(self.path / checkpoint.FOLDER)

    def _write(self, name: str, content: bytes) -> None:
        """Write a file that stays as it is while the run goes on."""
        files.replace(self.path / name, content)
        self._unchanging[name] = prefix_of(content)

    def _forget_end(self) -> None:
        # Whoever looks at the folder meanwhile is to see a run that goes on.
        (self.path / "summary.json").unlink(missing_ok=True)

    def draw(self, title: str) -> None:
        """Draw the figures by round; raises FlBackdoorError like `finish`."""
        from fl_backdoor.runs import figures

        rounds = round_table.read(self.rounds_csv)
        figures.draw_rounds(self.figure, rounds, title)


def _yaml(config: Mapping[str, Any], notices: Sequence[str]) -> bytes:
    comments = "".join(f"# NOTICE: {' '.join(notice.split())}\n" for notice in notices)
    return comments.encode("utf-8", "replace") + _dumped(config)


def _json(summary: Mapping[str, Any]) -> bytes:
    text = json.dumps(_writable(summary), indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _dumped(config: Mapping[str, Any]) -> bytes:
    import yaml

    return yaml.safe_dump(_writable(config), sort_keys=False, allow_unicode=True).encode()


def _writable(found: Any) -> Any:  # noqa: ANN401 - whatever JSON and YAML hold
    """Return `found` with a question mark for each half of a character, which a name of a file may hold."""
    if isinstance(found, str):
        return found.encode("utf-8", "replace").decode()
    if isinstance(found, Mapping):
        return {_writable(name): _writable(inner) for name, inner in found.items()}
    return [_writable(inner) for inner in found] if isinstance(found, list | tuple) else found
