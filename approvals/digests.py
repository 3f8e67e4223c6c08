"""The digest that an approval names: of a JSON value, the same wherever it is worked out."""

import hashlib

import rfc8785


def digest_of(value: object) -> str:
    """Return "sha256:…" of the RFC 8785 form of a JSON value."""
    return f"sha256:{hashlib.sha256(rfc8785.dumps(value)).hexdigest()}"  # type: ignore[arg-type]
