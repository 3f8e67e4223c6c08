"""The API's TLS certificate. kubectl sends tokens over TLS only, so plain HTTP would not do."""

import base64
import ipaddress
from datetime import timedelta
from pathlib import Path

from portal.embedded.cluster import clock

YEARS = 10


def ensure(folder: Path) -> tuple[Path, Path]:
    """Certificate and key of this cluster, made at the first start; the key is its owner's only."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    if not certificate.exists() or not key.exists():
        _make(certificate, key)
    return certificate, key


def authority_data(certificate: Path) -> str:
    """The certificate as kubeconfigs carry it."""
    return base64.b64encode(certificate.read_bytes()).decode()


def _make(certificate: Path, key: Path) -> None:
    # Imported here because only the first start needs it, and it is large.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "practice-cluster")])
    hosts = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    begins = clock.now() - timedelta(days=1)
    public = private.public_key()
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )
    key.touch(mode=0o600)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
