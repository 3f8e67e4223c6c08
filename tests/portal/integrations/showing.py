"""A TLS endpoint on loopback that shows a certificate of the test's own, and says nothing more."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)
PRIVATE = serialization.NoEncryption()


@dataclass(frozen=True)
class Shop:
    """Where it listens, and the authority (PEM) that vouches for it."""

    port: int
    authority: str


def certificate(
    folder: Path, *, names: Sequence[str] = ("shop.test",), days: float = 90.0, since_days: float = -1.0
) -> tuple[Path, str]:
    """Write a certificate with its key into the folder; return the file and the authority that signed it.

    Args:
        days: from now until it ends; `since_days`: from now until it begins.
    """
    now = datetime.datetime.now(datetime.UTC)
    signer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _builder("test authority", "test authority", signer, now - 10 * DAY, now + 999 * DAY)
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = _builder(names[0], "test authority", key, now + since_days * DAY, now + days * DAY)
    made = made.add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
    file = folder / "shown.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, PRIVATE)
    shown = made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    file.write_bytes(pem + shown)
    return file, root.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@contextlib.contextmanager
def showing(file: Path, authority: str) -> Iterator[Shop]:
    """Show the certificate to whoever comes, until the end of the block."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, context), daemon=True)
        thread.start()
        yield Shop(listener.getsockname()[1], authority)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            line, _peer = listener.accept()
        except OSError:
            return
        with contextlib.suppress(OSError), line, context.wrap_socket(line, server_side=True) as channel:
            channel.recv(1)


def _builder(
    name: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    begins: datetime.datetime,
    ends: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_common(name))
        .issuer_name(_common(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _common(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _name(text: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(text))
    return x509.DNSName(text)
