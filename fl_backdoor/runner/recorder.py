"""Turns a run as it happens into its folder and its lines on the terminal."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fl_backdoor.attacks.shared_state import TRIGGER, unpacked
from fl_backdoor.attacks.triggers.base import NOTHING
from fl_backdoor.core import chains, table
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.data.dataset import Split
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.rounds import FinishedRound, Row
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.metrics.detection import Tally
from fl_backdoor.runner import start
from fl_backdoor.runner.checks import Checked
from fl_backdoor.runner.display.background import Background
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.planned_run import PlannedRun
from fl_backdoor.runner.tracking import choice
from fl_backdoor.runner.tracking.base import TrackedRun
from fl_backdoor.runner.tracking.beside import Tracking
from fl_backdoor.runs import checkpoint, clean_baseline, client_table, round_table
from fl_backdoor.runs.best_model import BestModel
from fl_backdoor.runs.checkpoint import Checkpoint
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS
from fl_backdoor.runs.run_folder import RunFolder
from fl_backdoor.runs.runs import flatten
from fl_backdoor.runs.summary import REACHED_THE_END, RunFacts, Status, detection_cells

NUM_SAMPLES = 8
"""How many test samples are drawn, where there are so many."""


class Recorder:
    """Records one run.

    Parameters
    ----------
    experiment, planned
        What is run.
    folder
        Where its files go.
    display
        What the user sees.
    background
        Draws the figures.

    Attributes
    ----------
    reached
        The state after the last round on disk; None: there is none yet.
    """

    reached: Checkpoint | None = None

    def __init__(
        self,
        experiment: Experiment,
        planned: PlannedRun,
        folder: Path,
        display: Display,
        background: Background,
    ) -> None:
        self.experiment = experiment
        self.planned = planned
        self.files = RunFolder(folder)
        self.best = BestModel(folder)
        self.display = display
        self.background = background
        self.facts = run_facts(experiment, planned.checked)
        self.notices = [*planned.checked.notices, *experiment.notices]
        self.tally = Tally(attacks=self.facts.attacks)
        self.evaluated = False
        self.shared_state = b""
        self.clean = clean_baseline.lookup(planned.baselines, planned.clean_key) or {}
        self.tracking = Tracking(choice.build(experiment.config.tracking), display.notice)

    def start(self, *, anew: bool = False) -> None:
        """Open the run folder and announce the run; `anew`: write over one that had not come to a round."""
        config, context = self.experiment.config, self.experiment.context
        self.files.start(config.to_dict(), self.notices, anew=anew)
        contents = context.data.contents
        assert contents is not None
        self.files.write_data(contents.fingerprint, is_published=contents.is_published)
        self.files.write_labels(context.label_counts, context.dataset.class_names)
        self.files.begin_class_accuracy(context.dataset.class_names)
        self._announce(earlier=[])

    def go_on(self, after: Checkpoint) -> None:
        """Open the folder of a run that was cut off, and announce that it goes on."""
        self.files.go_on(self.notices, after.progress)
        self.evaluated = True
        self.reached = after
        self.shared_state = after.shared_state
        if not self._samples.exists():
            self.background.do(self._draw_samples)
        self.tally.add(client_table.read(self.files.clients_csv))
        earlier = round_table.read(self.files.rounds_csv)
        self.best.go_on(earlier)
        self._announce(earlier)

    def on_round(self, finished: FinishedRound) -> None:
        """Write and show a finished round."""
        if not self.evaluated:
            # Not before: until now workers and server had the cores to themselves.
            self.background.do(self._draw_samples)
        self.evaluated = True
        self.shared_state = finished.shared_state
        server_round = finished.row["server_round"]
        assert isinstance(server_round, int)
        rows = [_complete(client, CLIENT_COLUMNS) for client in finished.clients]
        self.tally.add(rows)
        so_far = detection_cells(self.tally.clients(), "client_")
        row = _complete(finished.row | so_far | self._baseline(server_round), ROUND_COLUMNS)
        # A round whose row is there is complete: this comes first.
        self.files.append_class_accuracy(server_round, finished.class_accuracy)
        self.files.append(row, rows)
        state = Checkpoint(
            self.files.progress(server_round), self._model(), finished.strategy, finished.shared_state
        )
        if self.experiment.config.keep_best:
            self.best.round_finished(row, state.model)
        checkpoint.save(self.files.path, self.planned.key, state)
        self.reached = state
        self.display.round_finished(row, rows)
        self.tracking.round_finished(row)

    def finish(self, status: Status) -> None:
        """Write what is left to write, whatever ended the run."""
        if self.shared_state:
            # What the trigger looks like is known only now.
            self.background.do(self._draw_samples)
        status = self.files.finish(status, self._model(), self.facts)
        self.background.do(self.files.draw, self.facts.title)
        self.background.do(self.tracking.finish, status)
        if status in REACHED_THE_END:
            # Last of all: while it is there, a process that was killed has left something to do.
            self.background.do(checkpoint.remove, self.files.path)
        if status == "finished" and not self.experiment.config.attacks:
            clean_baseline.register(self.planned.baselines, self.planned.clean_key, self.files.rounds_csv)
        self.display.run_finished(status, self.files.path)

    def draw_samples(self, shared_state: bytes) -> None:
        """Draw what a process that was killed after the last round may not have come to."""
        self.shared_state = shared_state
        self.background.do(self._draw_samples)

    def _announce(self, earlier: list[table.Row]) -> None:
        config = self.experiment.config
        how = "starting the clients"
        if earlier:
            how = f"going on after round {earlier[-1]['server_round']}"
        elif config.start.rounds_before:
            how += f", the first is round {config.start.rounds_before + 1}"
        self.display.run_started(self.facts.title, config.num_rounds, how)
        for notice in self.notices:
            self.display.notice(notice)
        settings = flatten(replace(config, tracking={}).to_dict())
        self.tracking.start(
            TrackedRun(self.facts.title, self.files.path, settings, self.planned.key, earlier)
        )

    def _model(self) -> Mapping[str, np.ndarray]:
        """Return the model of the last finished round by tensor name; nothing before there is one."""
        return self.experiment.model() if self.evaluated else {}

    def _baseline(self, server_round: int) -> Row:
        found = self.clean.get(server_round)
        return clean_baseline.as_columns(found) if found else {}

    @property
    def _samples(self) -> Path:
        return self.files.path / "samples.png"

    def _draw_samples(self) -> None:
        """Draw test samples as they are and as the attack leaves them."""
        draw_samples(self.experiment.context, self.shared_state, self._samples)


def draw_samples(context: ExperimentContext, shared_state: bytes, path: Path) -> None:
    """Draw `NUM_SAMPLES` test samples, or all if there are fewer, without and with the trigger.

    Parameters
    ----------
    context
        Where samples, seed and trigger are from.
    shared_state
        What attackers have told each other of the trigger; empty: nothing.
    path
        The PNG.
    """
    attack, test, names = context.config.attack, context.data.test, context.dataset.class_names
    count = min(NUM_SAMPLES, len(test.labels))
    random = generator(context.config.seed, Purpose.SHOWN_SAMPLES)
    chosen = random.choice(len(test.labels), count, replace=False)
    clean = Split(test.samples[chosen], test.labels[chosen])
    samples = context.dataset.on_device(clean, context.device)
    trigger = context.trigger.with_learnt(unpacked(shared_state).get(TRIGGER, NOTHING))
    poison = context.poisoning.in_test(trigger, attack.trigger_space)
    triggered, _ = samples.batch(torch.arange(count, device=context.device), poison)
    context.dataset.draw(
        path,
        clean.samples,
        samples.as_stored(triggered),
        [names[label] for label in clean.labels],
        names[attack.target_label],
    )


def run_facts(experiment: Experiment, checked: Checked) -> RunFacts:
    """Return what the summary tells of a run besides its figures."""
    config = experiment.config
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    # A run that was cut off and went on is the run that was asked for at first.
    asked = [argument for argument in sys.argv[1:] if not argument.startswith("resume=")]
    return RunFacts(
        seed=config.seed,
        dataset=experiment.context.dataset.name,
        dataset_fallback=checked.fallback,
        strategy=chains.title(config.strategy, config.server_optimizer),
        alpha=config.attack.alpha,
        num_malicious=config.attack.num_malicious,
        boost_factor=config.attack.boost_factor,
        attacks=config.attacks,
        num_rounds=config.num_rounds,
        start=start.recorded(config),
        malicious_client_ids=sorted(experiment.malicious),
        stamped_of_target_class=experiment.stamped_of_target_class,
        gpus=gpus,
        command=shlex.join(["python", "-m", "fl_backdoor.main", *asked]),
    )


def _complete(row: Row, columns: tuple[str, ...]) -> Row:
    """Return `row` with an empty cell for each column that is unknown."""
    unknown = row.keys() - set(columns)
    if unknown:
        raise ValueError(f"no column for {sorted(unknown)}")
    return {column: row.get(column) for column in columns}
