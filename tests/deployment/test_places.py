"""Whose claims to clients hold, and how a user is told of those that do not."""

import pytest
from flwr.proto.node_pb2 import NodeInfo

from fl_backdoor.engine.deployment.binding import (
    described,
    named_clients,
    registered_clients,
    registered_name,
)
from fl_backdoor.engine.deployment.places import Claim, allowed, places


def registered(name, number=7):
    return NodeInfo(node_id=number, name=name)


def test_the_clients_of_a_key_travel_in_its_name():
    assert registered_name("node-3", (3, 4)) == "node-3 [partition 3,4]"
    assert registered_clients(registered("node-3 [partition 4,3]")) == (3, 4)
    assert described(registered("node-3 [partition 3]")) == "node 7 (node-3 [partition 3])"


@pytest.mark.parametrize(
    "name",
    [
        *("", "node-3", "node-3 [partition ]", "node-3 [partition -1]", "node-3 [partition 1,]"),
        *("node-3 [partition ٣]", "node-3 [partition 1] ", f"node-3 [partition {'9' * 5000}]"),
    ],
)
def test_a_key_without_clients_is_for_none_in_particular(name):
    assert registered_clients(registered(name)) == ()


def test_a_name_from_elsewhere_is_harmless_on_a_terminal():
    assert described(registered("\x1b[2Jnode\n[bold]")) == "node 7 (node [bold])"
    assert described(registered("")) == "node 7"


def test_few_clients_are_named_and_many_counted():
    assert named_clients([3]) == "client 3"
    assert named_clients([3, 4]) == "clients 3, 4"
    assert named_clients(range(14)) == "clients 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 4 more"


def test_clients_that_the_run_does_not_have_never_count():
    assert allowed(Claim("node 9", range(-9, 0)), 4) == (
        (),
        [
            "node 9 may not host clients -9, -8, -7, -6, -5, -4, -3, -2, -1: "
            "the run has 4 clients, counted from 0"
        ],
    )
    assert allowed(Claim("node 9", (2, 3, 4)), 4)[0] == (2, 3)


def test_a_node_gets_the_clients_that_its_key_was_registered_for_alone():
    own, refused = allowed(Claim("node 9 (thief)", (0, 1, 2, 3), registered=(3,)), 4)
    assert own == (3,)
    assert refused == ["node 9 (thief) may not host clients 0, 1, 2: its key is registered for client 3"]


def test_a_node_may_claim_fewer_clients_than_its_key_was_registered_for():
    assert allowed(Claim("node 9", (3,), registered=(2, 3)), 4) == ((3,), [])


def test_where_no_key_was_registered_for_a_client_the_first_node_has_it():
    claims = {
        "thief": Claim("node 9", (0, 1, 2), since="2026-11-01T10:00:05"),
        "first": Claim("node 1", (0,), since="2026-11-01T10:00:01"),
        "second": Claim("node 2", (2,), since="2026-11-01T10:00:02"),
    }
    homes, refused = places(claims, {})
    assert homes == {0: "first", 1: "thief", 2: "second"}
    assert refused == [
        "node 9 may not host client 0: node 1 was there first",
        "node 9 may not host client 2: node 2 was there first",
    ]
    del claims["first"]
    assert places(claims, {})[0] == {0: "thief", 1: "thief", 2: "second"}


def test_a_client_of_a_registered_key_is_open_to_nobody_else_even_while_its_node_is_away():
    claims = {"early": Claim("node 9", (0, 1), since="2026-11-01T09:00:00")}
    homes, refused = places(claims, {1: "node 1 (node-1)"})
    assert homes == {0: "early"}
    assert refused == ["node 9 may not host client 1: that is the place of node 1 (node-1)"]
    claims["own"] = Claim("node 1 (node-1)", (1,), registered=(1,), since="2026-11-01T10:00:00")
    assert places(claims, {1: "node 1 (node-1)"})[0] == {0: "early", 1: "own"}


def test_of_two_keys_for_one_client_the_one_that_was_registered_first_has_it():
    claims = {
        "late": Claim("node 9", (1,), registered=(1,), since="2026-11-02"),
        "early": Claim("node 1", (1,), registered=(1,), since="2026-11-01"),
    }
    homes, refused = places(claims, {1: "node 9"})
    assert homes == {1: "early"}
    assert refused == ["node 9 may not host client 1: node 1 was there first"]
