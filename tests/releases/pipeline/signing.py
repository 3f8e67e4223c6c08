"""Signs events as GitLab, GitHub and a CI system of one's own do."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from django.test import Client

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


def standard(body: bytes, *, delivery: str = "d1", at: int | None = None, key: bytes = KEY) -> dict[str, str]:
    """Headers as Standard Webhooks has them."""
    sent = str(int(time.time()) if at is None else at)
    signed = hmac.new(key, f"{delivery}.{sent}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": delivery, "webhook-timestamp": sent, "webhook-signature": signature}


def github(body: bytes, *, delivery: str = "g1", secret: str = SECRET) -> dict[str, str]:
    """Headers as GitHub sends them."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "x-github-delivery": delivery,
        "x-github-event": "push",
        "x-hub-signature-256": f"sha256={signature}",
    }


def send(connection: str, body: Any, headers: dict[str, str] | None = None, **signing: Any) -> Any:
    """Post an event, signed as Standard Webhooks unless headers are given."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = standard(raw, **signing) if headers is None else headers
    return Client().post(f"/api/v1/hooks/{connection}", raw, content_type="application/json", headers=signed)
