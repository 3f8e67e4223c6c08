"""The key that signs checkpoints: Ed25519, given by AUDIT_KEY or the file that AUDIT_KEY_FILE names.

Its public half is introduced by an entry of the chain (operations.sign_head). To change the key, change the
variable and restart: the next checkpoint introduces the new one, and the old checkpoints stay good.
"""

from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from portal import env
from portal.audit.verifier import key_id


@dataclass(frozen=True)
class Signer:
    """A private key and its public half in hex."""

    private: Ed25519PrivateKey
    public: str

    @property
    def key(self) -> str:
        """The short name of the key."""
        return key_id(self.public)

    def sign(self, data: bytes) -> str:
        """The signature in hex."""
        return self.private.sign(data).hex()


def signer() -> Signer | None:
    """The key that is configured; None where nothing is signed."""
    return _signer(settings.AUDIT_KEY) if settings.AUDIT_KEY else None


@lru_cache(maxsize=2)
def _signer(pem: str) -> Signer:
    private = env.signing_key("AUDIT_KEY", pem)
    return Signer(private, private.public_key().public_bytes_raw().hex())
