"""The TLS side of a direct connection: a certificate made at start, known to callers by its hash.

No authority vouches for it and none is asked: the hash came over QUIC from the node itself.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_LIFE = datetime.timedelta(days=3650)


def server_context() -> tuple[ssl.SSLContext, str]:
    """A context with a new key and certificate, and the certificate's SHA-256 in hex. Blocks for a few milliseconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFE)
        .not_valid_after(now + _LIFE)
        .sign(key, hashes.SHA256())
    )
    context = _modern(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # sessions are not resumed
    _load(context, key, certificate)
    return context, hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def _load(context: ssl.SSLContext, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """`ssl` takes keys from files only: one that nobody else may read, for as long as that takes."""
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    descriptor, name = tempfile.mkstemp(prefix="depin-tls-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret + certificate.public_bytes(pem))
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


def client_context() -> ssl.SSLContext:
    """A context that takes any certificate; compare its hash with `is_expected` before anything is sent."""
    context = _modern(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_expected(tls: object, fingerprint: str) -> bool:
    """Whether the other side of a connection showed the certificate with this SHA-256 (hex)."""
    shown = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject) else None
    return shown is not None and hashlib.sha256(shown).hexdigest() == fingerprint


def _modern(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
