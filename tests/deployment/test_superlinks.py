import http.client

import pytest

from tests.deployment.superlinks import SuperLink

FLAGS = ["--insecure", "--isolation", "process", "--database", "state.db"]


def status(superlink):
    connection = http.client.HTTPConnection(superlink.host, superlink.port, timeout=5)
    connection.request("GET", "/health")
    return connection.getresponse().status


def test_superlink_answers_until_its_end_and_comes_back_on_its_port_with_its_database(tmp_path):
    with SuperLink(FLAGS, tmp_path) as superlink:
        assert status(superlink) == 200
        superlink.kill()
        with pytest.raises(OSError):
            status(superlink)
        superlink.start()
        assert status(superlink) == 200
    with pytest.raises(OSError):
        status(superlink)
    assert (tmp_path / "state.db").exists()


def test_what_a_superlink_said_is_told_if_it_does_not_start(tmp_path):
    with pytest.raises(RuntimeError, match="no-such-option"), SuperLink(["--no-such-option"], tmp_path):
        pass
