"""What is said of a SuperLink, by users who err."""

import pytest

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.engine.deployment.address import superlink_address
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed

FORM = "must be host:port, such as 10.0.0.1:8000 or [fd00::1]:8000"


@pytest.mark.parametrize("address", ["nowhere", "10.0.0.1", "10.0.0.1:", "10.0.0.1:99999", ""])
def test_an_address_needs_a_port(address):
    with pytest.raises(FlBackdoorError) as error:
        superlink_address(address, None, "no")
    assert str(error.value) == f"{address}: {FORM}"


@pytest.mark.parametrize("address", ["localhost:8000", "127.0.0.1:8000", "127.9.9.9:1", "[::1]:8000"])
def test_this_machine_may_do_without_tls(address):
    found = superlink_address(address, None, "loopback")
    assert (found.address, found.root_certificates, found.is_insecure) == (address, None, True)


@pytest.mark.parametrize("address", ["10.0.0.1:8000", "server.lab:8000", "[fd00::1]:8000"])
def test_other_machines_need_tls_or_an_explicit_word(address):
    with pytest.raises(FlBackdoorError, match="insecure=loopback is for this machine alone"):
        superlink_address(address, None, "loopback")
    assert superlink_address(address, None, "anywhere").is_insecure
    assert not superlink_address(address, None, "no").is_insecure


def test_a_certificate_that_is_none_or_not_used_is_refused(certs, tmp_path):
    known = str(certs / "ca.crt")
    assert superlink_address("server.lab:1", known, "no").root_certificates == (certs / "ca.crt").read_bytes()
    with pytest.raises(FlBackdoorError, match="a certificate is of no use without TLS"):
        superlink_address("localhost:1", known, "loopback")
    with pytest.raises(FlBackdoorError, match="cannot be read"):
        superlink_address("localhost:1", str(tmp_path / "none"), "no")
    with pytest.raises(FlBackdoorError, match="is not a certificate"):
        superlink_address("localhost:1", str(certs / "node-0"), "no")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["engine.address=nowhere"], f"nowhere: {FORM}"),
        (["engine.secret=/none/at/all"], "/none/at/all: no secret of a SuperLink"),
        (["engine.insecure=yes"], "engine.insecure = yes: must be 'no', 'loopback' or 'anywhere'"),
        (["engine.num_workers=2"], "engine.num_workers: no such setting; known here: name, address"),
        (["jobs=2"], "jobs = 2: must be 1 on a deployment"),
    ],
)
def test_a_wrong_setting_is_one_line_before_anything_starts(overrides, message):
    with pytest.raises((ConfigError, FlBackdoorError)) as error:
        check(parse_whole(next(composed(["engine=deployment", "dataset=mnist5k", *overrides])))[0])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
