"""Where a SuperLink is, and how its identity is checked."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flwr.supercore.address import parse_address

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.engine.deployment.key_files import read_certificate

Insecure = Literal["no", "loopback", "anywhere"]

WITHOUT_TLS = "without TLS anybody on the way can read and change models and updates"


@dataclass(frozen=True)
class SuperLinkAddress:
    """A SuperLink as a client of it knows it.

    Parameters
    ----------
    address
        ``host:port``, IPv6 hosts in brackets.
    root_certificates
        Certificates (PEM) of the authorities that may vouch for it; None: those of the system.
    is_insecure
        Whether it is talked to without TLS.
    """

    address: str
    root_certificates: bytes | None
    is_insecure: bool


def superlink_address(address: str, root_certificates: str | None, insecure: Insecure) -> SuperLinkAddress:
    """Check what a user said of a SuperLink.

    Raises
    ------
    FlBackdoorError
        If the address cannot be read, the certificate is not there, or TLS is left out without need.
    """
    host, port = _host_and_port(address)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if insecure == "no":
        return SuperLinkAddress(address, _certificates(root_certificates), is_insecure=False)
    if root_certificates is not None:
        raise FlBackdoorError(f"{root_certificates}: a certificate is of no use without TLS")
    if insecure == "loopback" and not _is_loopback(host):
        raise FlBackdoorError(
            f"{address}: {WITHOUT_TLS}; "
            "insecure=loopback is for this machine alone, insecure=anywhere for networks that you trust"
        )
    return SuperLinkAddress(address, None, is_insecure=True)


def read_secret(path: str | None) -> bytes | None:
    """Return the SuperLink's secret from its file; raises FlBackdoorError if Flower would not take it."""
    if path is None:
        return None
    from flwr.supercore.auth import load_superexec_auth_secret

    try:
        return load_superexec_auth_secret(secret_file=path)
    except (OSError, ValueError) as error:
        raise FlBackdoorError(f"{path}: no secret of a SuperLink ({error})") from error


def _host_and_port(address: str) -> tuple[str, int]:
    parsed = parse_address(address)
    if not parsed:
        raise FlBackdoorError(f"{address}: must be host:port, such as 10.0.0.1:8000 or [fd00::1]:8000")
    host, port, _ = parsed
    return host, port


def _certificates(path: str | None) -> bytes | None:
    if path is None:
        return None
    file = Path(path).expanduser()
    read_certificate(file)
    return file.read_bytes()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
