"""A certificate authority, and the one key pair that serves as server, client and token key."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=30)


def write_certificates(folder: Path) -> None:
    """Write `ca.crt`, `admin.crt` and `admin.key` (PEM) into the folder."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test control plane")])
    ca = _builder(ca_name, issuer=ca_name, public_key=ca_key.public_key())
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    _write(folder / "ca.crt", ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    # Service account tokens are signed with this key too, and the API server takes an RSA key for both.
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = _admin(ca_name, public_key=key.public_key()).sign(ca_key, hashes.SHA256())
    _write(folder / "admin.crt", certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    _write(folder / "admin.key", pem)


def _admin(issuer: x509.Name, *, public_key: rsa.RSAPublicKey) -> x509.CertificateBuilder:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "admin"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
        ]
    )
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName("kubernetes.default.svc")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _builder(name, issuer=issuer, public_key=public_key)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)


def _builder(
    subject: x509.Name, *, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # Clocks of two processes on one machine agree, but times are cut to whole seconds.
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + LIFETIME)
    )


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
