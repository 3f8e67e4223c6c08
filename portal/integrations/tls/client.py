"""The certificate that an allowed address shows, and whether a client would trust it for a name.

Nothing is asked after the handshake: no request is sent, and no secret of the portal's.
"""

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime

import certifi
from cryptography import x509
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.integrations.http.client import UNREACHABLE, Allow, Resolver, checked_address
from portal.sentences import sentence

LONGEST = 200
NAMES_SHOWN = 5
# OpenSSL's codes: the certificate is for other names, mail addresses or numbers than the one asked for.
OTHER_NAME = frozenset({62, 63, 64})
BAD_AUTHORITY = "bad_authority"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A certificate as it was shown.

    Attributes:
        subject, issuer: as they stand in it; whoever was asked has written them.
        names: for which it is, the first of them.
        fits: whether it is for the name that was asked for; None where nobody known vouches for it.
        doubt: why nobody vouches for it, in OpenSSL's words; "" where somebody does.
    """

    subject: str
    issuer: str
    names: str
    begins: datetime
    ends: datetime
    fits: bool | None = True
    doubt: str = ""


def shown_certificate(
    host: str,
    port: int,
    *,
    server_name: str,
    timeout_seconds: float,
    allow: Allow,
    authority: str = "",
    resolve: Resolver | None = None,
) -> Shown:
    """Shake hands with an address once, or twice where the certificate is not trusted.

    Args:
        server_name: the name that is asked for, and that the certificate must be for.
        timeout_seconds: for each handshake.
        authority: certificates (PEM) that are trusted instead of those that browsers trust.
        resolve: turns host and port into addresses; for tests.

    Raises:
        PermanentError: "address_refused" when it may not be called; "bad_authority" where that is none.
        TemporaryError: "unreachable" when nobody answers, or not with TLS.
    """
    address = checked_address(host.lower(), port, allow=allow, resolve=resolve)
    place = (address, port, server_name, timeout_seconds)
    try:
        return _read(_shake(_trusting(authority), *place))
    except ssl.SSLCertVerificationError as error:
        fits = False if error.verify_code in OTHER_NAME else None
        return _read(_shake(_curious(), *place), fits=fits, doubt=_plain(error.verify_message))


def _trusting(authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not authority:
        context.load_verify_locations(cafile=certifi.where())
        return context
    try:
        context.load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        text = _("The authority that is to be trusted is no certificate in PEM.")
        raise PermanentError(text, code=BAD_AUTHORITY) from error
    return context


def _curious() -> ssl.SSLContext:
    """Takes any certificate: it is only read, and nothing is said to whoever showed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shake(context: ssl.SSLContext, address: str, port: int, server_name: str, seconds: float) -> bytes:
    """Return the certificate as it came over the line."""
    told = {"host": server_name, "port": port}
    try:
        with (
            socket.create_connection((address, port), timeout=seconds) as line,
            context.wrap_socket(line, server_hostname=server_name) as channel,
        ):
            return channel.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as error:
        text = _("{host}:{port} answers, but not with TLS: {reason}.")
        raise TemporaryError(sentence(text, **told, reason=error.reason or "?"), code=UNREACHABLE) from error
    except (OSError, ValueError) as error:
        text = _("{host}:{port} does not answer: {reason}.")
        reason = type(error).__name__
        raise TemporaryError(sentence(text, **told, reason=reason), code=UNREACHABLE) from error


def _read(encoded: bytes, *, fits: bool | None = True, doubt: str = "") -> Shown:
    try:
        found = x509.load_der_x509_certificate(encoded)
        return Shown(
            subject=_plain(found.subject.rfc4514_string()),
            issuer=_plain(found.issuer.rfc4514_string()),
            names=_plain(", ".join(_names(found)[:NAMES_SHOWN])),
            begins=found.not_valid_before_utc,
            ends=found.not_valid_after_utc,
            fits=fits,
            doubt=doubt,
        )
    except ValueError as error:
        raise TemporaryError(_("What was shown is no certificate."), code=UNREACHABLE) from error


def _names(found: x509.Certificate) -> list[str]:
    try:
        held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    numbers = held.get_values_for_type(x509.IPAddress)
    return [*held.get_values_for_type(x509.DNSName), *map(str, numbers)]


def _plain(text: str) -> str:
    """What others have written, in one line that people can read."""
    line = "".join(each if each.isprintable() else "\ufffd" for each in text)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
