"""Certificates as a lab's own authority gives them out: PEM files for brokers and clients."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVED = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
DAY = timedelta(days=1)


class Authority:
    """Signs certificates. `certificate`: the file that whoever trusts it needs."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        own = self._signed(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.certificate = self._written(f"{name}.pem", own)

    def give(self, name: str) -> Path:
        """A file with a key and its certificate, for this name at 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._written(f"{name}.pem", secret + self._signed(subject, key.public_key(), SERVED))

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> bytes:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - DAY).not_valid_after(now + DAY)
        is_critical = isinstance(extension, x509.BasicConstraints)
        made = builder.add_extension(extension, critical=is_critical).sign(self._key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    def _written(self, name: str, text: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(text)
        return path
