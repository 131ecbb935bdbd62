"""What a server is called: names and addresses, told apart."""

import ipaddress
import re
from collections.abc import Iterable

from cryptography import x509

from fl_backdoor.core.errors import ConfigError

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def alternative_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Return `hosts` and this machine's loopback names as a certificate lists them, each once.

    Raises
    ------
    ConfigError
        If one is neither a host name nor an address that somebody else could call.
    """
    return list(dict.fromkeys(alternative_name(host) for host in (*hosts, *LOOPBACK)))


def alternative_name(host: str) -> x509.GeneralName:
    """Return one host as a certificate lists it.

    Raises
    ------
    ConfigError
        If it is neither a host name nor an address that somebody else could call.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return x509.DNSName(_checked_name(host))
    if address.is_unspecified or address.is_multicast or "%" in host:
        raise ConfigError("host", host, "an address by which the nodes reach the server, without a zone")
    return x509.IPAddress(address)


def written(name: x509.GeneralName) -> str:
    """Return a name or address of a certificate as `alternative_name` takes it."""
    return str(name.value)


def with_port(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _checked_name(host: str) -> str:
    """Return a host name in lower case; a last part of digits alone is an address that was mistyped."""
    labels = host.lower().split(".")
    if len(host) > 253 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        allowed = "an IP address, or a name of letters, digits, hyphens and dots; no port, no https://"
        raise ConfigError("host", host, allowed)
    return ".".join(labels)
