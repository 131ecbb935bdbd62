"""What goes wrong on real machines, done to real processes.

One SuperLink with its state on disk and four nodes, TLS and keys, each on a host of its own, which is a
network namespace. Each drill makes a run while something is killed, cut off or slowed down; clients may lose
places in rounds by it, rounds and runs may not be lost. Needs iproute2 and the right to make namespaces.
"""

import csv
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from benchmarks.drills.outcome import Options, Outcome
from fl_backdoor.engine.deployment import authority
from fl_backdoor.engine.deployment.registration import Registrar
from tests.deployment.federation import Federation, Process, secured
from tests.deployment.hosts import Hosts
from tests.deployment.hosts import why_not as no_hosts

NUM_ROUNDS = 6
TIMEOUT = "server.round_timeout_seconds=20"
SETTINGS = (f"num_rounds={NUM_ROUNDS}", TIMEOUT, "client.local_steps=100")
VICTIM = 2
CUT_SECONDS = 30.0


@dataclass(frozen=True)
class Field:
    """Where drills take place."""

    federation: Federation
    hosts: Hosts

    @property
    def victim(self) -> Process:
        """The node that things are done to."""
        return self.federation.nodes[VICTIM]

    def at_work(self) -> None:
        """Wait until the victim has begun its next round."""
        heard = self.victim.said().count("a train message has come")
        self.victim.wait_until("a train message has come", heard + 1)


def kill_node(field: Field, run: Process) -> Process:
    """Kill a node at work (kill -9) and start it again at once."""
    field.at_work()
    field.victim.kill()
    field.federation.start_node(VICTIM)
    return run


def kill_superlink(field: Field, run: Process) -> Process:
    """Kill the SuperLink (kill -9) and start it again after 6 s."""
    field.federation.superlink.kill()
    time.sleep(6)
    field.federation.superlink.start()
    return run


def kill_experiment(field: Field, run: Process) -> Process:
    """Kill the experiment (kill -9) and resume it at once."""
    run.kill()
    folder = field.federation.folder / kill_experiment.__name__
    return field.federation.start_run(folder.name, *SETTINGS, f"resume={folder}")


def cut_link(field: Field, run: Process) -> Process:
    """Cut the link of a node at work for 30 s."""
    field.at_work()
    field.hosts.cut(f"node {VICTIM}")
    time.sleep(CUT_SECONDS)
    field.hosts.restore(f"node {VICTIM}")
    return run


def slow_node(field: Field, run: Process) -> Process:
    """Slow a node down to a tenth of its speed."""
    ended = Event()

    def slow() -> None:
        while not ended.is_set():
            field.victim.signal(signal.SIGSTOP)
            ended.wait(0.09)
            field.victim.signal(signal.SIGCONT)
            ended.wait(0.01)

    thread = Thread(target=slow)
    thread.start()
    try:
        run.wait()
    finally:
        ended.set()
        thread.join()
    return run


DRILLS: tuple[Callable[[Field, Process], Process], ...] = (
    kill_node,
    kill_superlink,
    kill_experiment,
    cut_link,
    slow_node,
)
NAMES = tuple(drill.__name__ for drill in DRILLS)


def why_not() -> str | None:
    """Return why there can be no hosts here; None if there can."""
    return no_hosts()


def outcomes(names: Sequence[str], options: Options) -> Iterator[Outcome]:
    """Start SuperLink and nodes, and do the drills on them one after the other."""
    with ExitStack() as stack:
        field = _field(stack)
        for drill in DRILLS:
            if drill.__name__ in names:
                yield _done(field, drill)


def _field(stack: ExitStack) -> Field:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    names = [f"node {client_id}" for client_id in range(4)]
    hosts = stack.enter_context(Hosts("server", *names))
    certs = folder / "certs"
    federation = Federation(
        folder,
        secured(certs, hosts["server"]),
        hosts["server"],
        {client_id: hosts[name] for client_id, name in enumerate(names)},
    )
    stack.enter_context(federation)
    registrar = Registrar(federation.superlink.address, certs / authority.AUTHORITY)
    keys = [certs / f"node-{client_id}.pub" for client_id in range(4)]
    list(registrar.register(keys, [(client_id,) for client_id in range(4)]))
    federation.start_nodes()
    return Field(federation, hosts)


def _done(field: Field, drill: Callable[[Field, Process], Process]) -> Outcome:
    """Start a run, do the drill after its first round, and wait for the end."""
    started = time.monotonic()
    run = field.federation.start_run(drill.__name__, *SETTINGS)
    run.wait_until(f"round 1/{NUM_ROUNDS}")
    run = drill(field, run)
    ended = run.wait()
    folder = field.federation.folder / drill.__name__
    rounds = len(_rows(folder / "rounds.csv")) - 1
    missed_rounds = [
        (int(row["server_round"]), int(row["client_id"]), row["rejected"])
        for row in _rows(folder / "clients.csv")
        if row["rejected"]
    ]
    missed = ", ".join(f"({number}, {client_id})" for number, client_id, _ in missed_rounds) or "none"
    said = [line for line in run.said().splitlines() if "SuperLink" in line or "going on" in line]
    return Outcome(
        drill=(drill.__doc__ or "").strip().rstrip("."),
        came_to=f"ended with {ended}, {rounds} of {NUM_ROUNDS} rounds, places lost (round, client): {missed}",
        lost=[
            *([f"the run ended with {ended}"] if ended else []),
            *([f"{NUM_ROUNDS - rounds} rounds"] if rounds < NUM_ROUNDS else []),
        ],
        seconds=time.monotonic() - started,
        details={"ended": ended, "rounds": rounds, "places_lost": missed_rounds, "said": said},
    )


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
