"""Keys and certificates as files: written once with the right mode, and read with one clear line."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.files import one_line_errors
from fl_backdoor.engine.deployment.certificates import Key

SECRET, PUBLIC = 0o600, 0o644

T = TypeVar("T")


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write `content` to `path`, which must not exist, at one stroke and with exactly this `mode`.

    Raises
    ------
    FlBackdoorError
        If the file exists, or cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with one_line_errors(path):
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET), "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # Unlike a renaming this never takes the place of a key that somebody uses.
            path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)


def exposed(*secrets: str | Path | None) -> list[str]:
    """Return a line of warning for each of these files that others than its owner can read or change."""
    lines = []
    for path in (Path(secret).expanduser() for secret in secrets if secret is not None):
        # Whoever needs the file says what is wrong if it cannot be read.
        with suppress(OSError):
            status = path.stat()
            # What is not ours was handed to us by its owner: systemd lets the service's group read a key.
            others = 0o077 if status.st_uid == os.geteuid() else 0o007
            if status.st_mode & others:
                lines.append(f"NOTICE: {path} is secret, and others can read it: chmod 600 {path}")
    return lines


def certificate_bytes(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_bytes(key: Key) -> bytes:
    """Return a private key of TLS as PEM, unencrypted: servers start without anybody at the keyboard."""
    return _private(key, serialization.PrivateFormat.PKCS8)


def node_key_bytes(key: Key) -> bytes:
    """Return a node's private key as `ssh-keygen` writes it and Flower reads it."""
    return _private(key, serialization.PrivateFormat.OpenSSH)


def node_public_bytes(key: Key, comment: str) -> bytes:
    """Return a node's public key as the line that `ssh-keygen` writes."""
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return line + f" {comment}\n".encode()


def read_certificate(path: Path) -> x509.Certificate:
    """Return the certificate in `path`, or raise `FlBackdoorError`."""
    return _read(path, x509.load_pem_x509_certificate, "a certificate (PEM)")


def read_key(path: Path) -> Key:
    """Return the private key of TLS in `path`, or raise `FlBackdoorError`."""
    return _read(path, _load_key, "an unencrypted private key on an elliptic curve (PEM)")


def read_node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the node's private key in `path`, or raise `FlBackdoorError`."""
    return _read(path, _load_node_key, "an unencrypted private key on an elliptic curve (OpenSSH)")


def read_node_public(path: Path) -> ec.EllipticCurvePublicKey:
    """Return the node's public key in `path`, or raise `FlBackdoorError`."""
    return _read(path, _load_node_public, "a public key on an elliptic curve (OpenSSH)")


def _load_key(content: bytes) -> Key:
    key = serialization.load_pem_private_key(content, password=None)
    if not isinstance(key, Key):
        raise TypeError
    return key


def _load_node_key(content: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_ssh_private_key(content, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError
    return key


def _load_node_public(content: bytes) -> ec.EllipticCurvePublicKey:
    key = serialization.load_ssh_public_key(content)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError
    return key


def _read(path: Path, load: Callable[[bytes], T], what: str) -> T:
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise FlBackdoorError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FlBackdoorError(f"{path} is not {what}") from error


def _private(key: Key, form: serialization.PrivateFormat) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
