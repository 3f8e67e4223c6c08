"""A device that keeps passkeys, in software: what a browser would answer, honest or not."""

import html
import json
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from django.conf import settings
from django.test import Client
from fido2.cbor import encode
from fido2.cose import ES256
from fido2.utils import websafe_encode

PLACE = "/sign-in/second-factor/webauthn/"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40
Json = dict[str, Any]


def options_on(client: Client, path: str) -> Json:
    """The options that a page hands to its script."""
    page = client.get(path, follow=True).content.decode()
    found = re.search(r'data-options="([^"]*)"', page)
    assert found is not None, page
    options: Json = json.loads(html.unescape(found[1]))["publicKey"]
    return options


@dataclass
class Device:
    """Holds one passkey.

    Attributes:
        verifies: whether it asks for a finger or a PIN; one that doesn't proves only that it is there.
    """

    verifies: bool = True
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    owner: str = ""

    @property
    def credential_id(self) -> bytes:
        return sha256(repr(self.key.public_key().public_numbers()).encode()).digest()

    def enrol(self, client: Client, name: str = "") -> Any:
        """Add the passkey on the page of whoever is signed in."""
        options = options_on(client, f"{PLACE}add/")
        return client.post(f"{PLACE}add/", {"name": name, "credential": json.dumps(self.made(options))})

    def made(self, options: Json, *, origin: str = "") -> Json:
        """Answer a request for a new passkey."""
        self.owner = options["user"]["id"]
        public = encode(dict(ES256.from_cryptography_key(self.key.public_key())))  # type: ignore[no-untyped-call]
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + public
        data = self._data(options["rp"]["id"], ATTESTED) + attested
        seen = encode({"fmt": "none", "attStmt": {}, "authData": data})
        client = _client_data("webauthn.create", options, origin)
        return self._answer(clientDataJSON=client, attestationObject=seen)

    def shown(self, options: Json, *, origin: str = "") -> Json:
        """Answer a request to show the passkey."""
        data = self._data(options["rpId"])
        client = _client_data("webauthn.get", options, origin)
        signature = self.key.sign(data + sha256(client).digest(), ec.ECDSA(SHA256()))
        answer = self._answer(clientDataJSON=client, authenticatorData=data, signature=signature)
        answer["response"]["userHandle"] = self.owner
        return answer

    def _data(self, domain: str, flags: int = 0) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return sha256(domain.encode()).digest() + bytes([flags]) + bytes(4)

    def _answer(self, **response: bytes) -> Json:
        name = websafe_encode(self.credential_id)
        parts = {key: websafe_encode(value) for key, value in response.items()}
        return {"id": name, "rawId": name, "type": "public-key", "response": parts}


def _client_data(kind: str, options: Json, origin: str) -> bytes:
    said = {"type": kind, "challenge": options["challenge"], "origin": origin or settings.PASSKEY_ORIGIN}
    return json.dumps({**said, "crossOrigin": False}).encode()
