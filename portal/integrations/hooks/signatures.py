"""Signatures over the raw body of an event, compared in constant time and before anything is parsed.

GitLab and the portal's own shape sign as Standard Webhooks has it (`webhook-id.webhook-timestamp.body`),
GitHub signs the body alone (`X-Hub-Signature-256`); protocols.md, section E.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError

BAD_SIGNATURE = "bad_signature"
OLDEST = timedelta(minutes=5)
PREFIX = "whsec_"


def standard_webhook(
    headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str], now: datetime
) -> str:
    """Return the delivery's id.

    Args:
        headers: by their names in lower case.
        secrets: each "whsec_…" with its key in base64, or a plain text; several while one is exchanged.

    Raises:
        PermanentError: with code "bad_signature": unsigned, by another key, or older than five minutes.
    """
    delivery, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = [each[3:] for each in headers.get("webhook-signature", "").split() if each.startswith("v1,")]
    if not delivery or not sent.isascii() or not sent.isdigit() or len(sent) > 12:
        raise _refused()
    if abs(now.timestamp() - int(sent)) > OLDEST.total_seconds():
        raise _refused()
    signed = f"{delivery}.{sent}.".encode() + body
    expected = [base64.b64encode(_digest(_key(secret), signed)).decode() for secret in secrets]
    if not any(_same(one, each) for one in expected for each in given):
        raise _refused()
    return delivery


def github(headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str]) -> str:
    """Return what tells this event from every other: the digest of what was signed.

    The id that GitHub sends along is not signed: under another one the same event would be taken again.

    Raises:
        PermanentError: with code "bad_signature": unsigned, or by another key.
    """
    given = headers.get("x-hub-signature-256", "")
    expected = [f"sha256={_digest(secret.encode(), body).hex()}" for secret in secrets]
    if not any(_same(one, given) for one in expected):
        raise _refused()
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise _refused() from error


def _digest(key: bytes, signed: bytes) -> bytes:
    return hmac.new(key, signed, hashlib.sha256).digest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _refused() -> PermanentError:
    return PermanentError(_("The signature is not that of this connection."), code=BAD_SIGNATURE)
