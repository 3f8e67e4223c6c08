"""A client of the API for tests: a person's token in the header, JSON in and out."""

import json
from typing import Any

from django.test import Client

from portal.people import tokens
from portal.people.models import User
from tests.people import acting

BASE = "/api/v1"


class ApiClient:
    """Speaks to the API in the name of one person, with every scope they may have."""

    def __init__(self, user: User | None, *, secret: str = "") -> None:
        self.client = Client()
        self.secret = secret
        if user is not None:
            _token, self.secret = tokens.create_token(actor=acting(user), name="test", scopes=tokens.SCOPES)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.secret:
            sent["Authorization"] = f"Bearer {self.secret}"
        data = b"" if body is None else encode(body)
        kind = "application/json" if data else ""
        return self.client.generic(method, BASE + path, data, content_type=kind, headers=sent)

    def get(self, path: str, **headers: str) -> Any:
        """Read."""
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """Write."""
        return self.send("POST", path, {} if body is None else body, **headers)


def encode(body: Any) -> bytes:
    """Bytes as they are; everything else as JSON."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
