"""A certificate for the API, made once and kept in the data folder: Arvados' clients take nothing but https.

It is its own authority, so `SSL_CERT_FILE` with its path makes a client trust it and nothing else.
"""

import ipaddress
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

VALID = timedelta(days=3650)


def certificate(folder: Path, listen: str) -> tuple[Path, Path]:
    """Paths of the certificate and of its key in `folder`, made if they are not there. `listen`: the address served."""
    made, key = folder / "certificate.pem", folder / "key.pem"
    if not (made.exists() and key.exists()):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text, secret = _self_signed(listen)
        _write(key, secret)
        _write(made, text)
    return made, key


def _write(path: Path, data: bytes) -> None:
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    draft.replace(path)


def _self_signed(listen: str) -> tuple[bytes, bytes]:
    from cryptography import x509  # heavy, and needed once
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crunch-reuse")])
    now = datetime.now(UTC)
    names = sorted({"localhost", socket.gethostname(), socket.getfqdn()})
    addresses = {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
    if _is_address(listen):
        addresses.add(ipaddress.ip_address(listen))
    hosts = [x509.DNSName(one) for one in names if one.isascii()]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([*hosts, *(x509.IPAddress(one) for one in sorted(addresses, key=str))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), secret


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
