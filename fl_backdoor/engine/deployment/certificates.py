"""X.509 certificates: an authority of one's own, and the server's certificate that it signs."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fl_backdoor.core.errors import ConfigError

MAX_DAYS = 3650

# A machine whose clock is a little behind must not take a new certificate for one that is not valid yet.
CLOCK_SLACK = timedelta(hours=1)

Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    """Return a key on the curve P-384, which Flower asks of nodes and TLS takes as well."""
    return ec.generate_private_key(ec.SECP384R1())


def authority_certificate(key: Key, now: datetime) -> x509.Certificate:
    """Return a certificate by which `key` vouches for itself, for `MAX_DAYS`; it may sign servers alone."""
    # Two authorities must not be called the same: a client that knows both would try the wrong one.
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(f"fl_backdoor authority {identifier.digest.hex()[:8]}")
    builder = (
        _builder(name, name, key.public_key(), now, MAX_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    return builder.sign(key, hashes.SHA384())


def server_certificate(
    server: ec.EllipticCurvePublicKey,
    *,
    names: Sequence[x509.GeneralName],
    authority: x509.Certificate,
    authority_key: Key,
    now: datetime,
    days: int,
) -> x509.Certificate:
    """Return the authority's word that `server` is called `names`, until `days` after `now`.

    Raises
    ------
    ConfigError
        If `days` is not between 1 and 3650, or if the authority ends earlier.
    """
    _check_days(days, authority, now)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder(_name("fl_backdoor SuperLink"), authority.subject, server, now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(server), critical=False)
        .add_extension(issuer, critical=False)
    )
    return builder.sign(authority_key, hashes.SHA384())


def names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Return what the server of `certificate` is called."""
    return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def _check_days(days: int, authority: x509.Certificate, now: datetime) -> None:
    if not 1 <= days <= MAX_DAYS:
        raise ConfigError("days", days, f"a whole number from 1 to {MAX_DAYS}")
    end = authority.not_valid_after_utc
    if now + timedelta(days=days) > end:
        raise ConfigError("days", days, f"at most {max(0, (end - now).days)}: the authority ends on {end:%F}")


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
