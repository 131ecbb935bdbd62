"""Nodes that claim clients, honestly or not, at a real SuperLink with keys; a run says who hosts whom."""

import threading
from contextlib import ExitStack, contextmanager

import pytest
from flwr.app import Message
from flwr.clientapp import ClientApp

from fl_backdoor.engine.deployment import certificates, key_files
from fl_backdoor.engine.deployment.address import read_secret, superlink_address
from fl_backdoor.engine.deployment.grid import DeployedGrid
from fl_backdoor.engine.deployment.instructions import superlink_flags
from fl_backdoor.engine.deployment.node import NodeProcess
from fl_backdoor.engine.deployment.registration import Registrar
from fl_backdoor.engine.deployment.submitted_run import SubmittedRun
from fl_backdoor.federation.hosting import Hosting
from fl_backdoor.federation.invitation import Answer, Invitation, pack_answer
from tests.deployment.superlinks import SuperLink

NUM_CLIENTS = 4


@pytest.fixture(scope="module")
def superlink(certs, tmp_path_factory):
    """A SuperLink with keys whose nodes are all there and answer."""
    with SuperLink(superlink_flags(certs), tmp_path_factory.mktemp("claims")) as made:
        yield made


def saying(answer):
    """Return a node's app that says this of itself, whatever it is asked."""
    app = ClientApp()

    @app.query()
    def query(message, context):
        return Message(pack_answer(answer), reply_to=message)

    return app


class Party:
    """Nodes and a run at one SuperLink."""

    def __init__(self, certs, superlink, folder, stack):
        self.root = certs / "ca.crt"
        self.address = superlink_address(superlink.address, str(self.root), "no")
        self.secret = read_secret(str(certs / "superexec.secret"))
        self.folder = folder
        self.stack = stack
        self.lines = []

    def key(self, name, *client_ids):
        """Register a new key, for these clients or for none in particular."""
        key = certificates.new_key()
        public = self.folder / f"{name}.pub"
        key_files.write_new(public, key_files.node_public_bytes(key, name), key_files.PUBLIC)
        list(
            Registrar(self.address.address, self.root).register([public], [client_ids] if client_ids else [])
        )
        self.stack.callback(lambda: list(Registrar(self.address.address, self.root).remove([public])))
        return key

    @contextmanager
    def node(self, key, answer):
        """Have a node there that gives this answer."""
        joined = threading.Event()
        tell = lambda line: joined.set() if line.startswith("joined") else None  # noqa: E731
        process = NodeProcess(self.address, key, Hosting((0,)), saying(answer), tell)
        thread = threading.Thread(target=process.serve)
        thread.start()
        assert joined.wait(60)
        try:
            yield
        finally:
            process.stop()
            thread.join()

    def join(self, key, answer):
        """Have such a node there until the end."""
        self.stack.enter_context(self.node(key, answer))

    def grid(self):
        """Return a run's grid that takes whoever is there."""
        stop = threading.Event()
        run = self.stack.enter_context(SubmittedRun(self.address, self.secret, stop, self.lines.append))
        grid = DeployedGrid(run.grid, stop, 1, self.lines.append)
        grid.invite(lambda: Invitation("", "", ""), NUM_CLIENTS)
        return grid


@pytest.fixture
def party(certs, superlink, tmp_path):
    with ExitStack() as stack:
        yield Party(certs, superlink, tmp_path, stack)


def test_a_node_that_joins_last_takes_nobody_s_place(party):
    """Neither one whose key is for another client, nor one whose key is for none in particular."""
    keys = [party.key("honest-0", 0), party.key("honest-1", 1), party.key("honest-2")]
    thief, stranger = party.key("thief", 3), party.key("stranger")
    for client_id, key in enumerate(keys):
        party.join(key, Answer((client_id,)))
    grid = party.grid()
    before = grid.homes()
    assert sorted(before) == [0, 1, 2]
    party.join(thief, Answer((0, 1, 2, 3), num_own_samples=9))
    party.join(stranger, Answer((-2, -1, 0, 1, 2)))
    homes = grid.homes()
    assert {client_id: homes[client_id] for client_id in before} == before
    assert sorted(homes) == [0, 1, 2, 3]
    assert grid.own_samples() == {3: 9}
    assert sorted(line.split(" (", 1)[1] for line in party.lines[3:]) == [
        f"stranger) may not host client 0: that is the place of node {before[0]} (honest-0 [partition 0])",
        f"stranger) may not host client 1: that is the place of node {before[1]} (honest-1 [partition 1])",
        f"stranger) may not host client 2: node {before[2]} (honest-2) was there first",
        "stranger) may not host clients -2, -1: the run has 4 clients, counted from 0",
        "thief [partition 3]) hosts client 3",
        "thief [partition 3]) may not host clients 0, 1, 2: its key is registered for client 3",
    ]
    lines = len(party.lines)
    grid.homes()
    assert len(party.lines) == lines  # once is enough


def test_a_node_that_comes_back_has_its_client_again_and_meanwhile_nobody_else(party):
    own, other = party.key("own", 0), party.key("other")
    party.join(other, Answer((0, 1)))
    grid = party.grid()
    with party.node(own, Answer((0,))):
        before = grid.homes()
        assert sorted(before) == [0, 1]
    assert grid.homes() == {1: before[1]}
    party.join(own, Answer((0,)))
    assert grid.homes() == before


def test_ids_that_the_run_does_not_have_are_not_waited_for(party):
    party.join(party.key("negative"), Answer(tuple(range(-9, 0))))
    party.join(party.key("honest"), Answer((2,)))
    assert sorted(party.grid().homes()) == [2]


def test_a_refusal_reaches_the_terminal_cleaned(party):
    party.join(party.key("rude"), Answer((), "\x1b[2J\x1b[31mno [bold]way[/bold]\x07" + "y" * 100_000))
    party.join(party.key("honest"), Answer((2,)))
    party.grid().homes()
    [line] = [line for line in party.lines if "takes no part" in line]
    assert "(rude) takes no part: no [bold]way[/bold] yyy" in line
    assert len(line) < 600
    assert line.isprintable()
