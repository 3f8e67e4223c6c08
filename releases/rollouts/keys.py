"""What steps are called within their rollout: by wave, service, kind and workload, as long as a row holds."""

import hashlib

# What hangs on a step, such as a gate of its watch, has its key with a number behind it: a row holds 120.
LONGEST, DIGITS = 110, 12


def fitting(key: str) -> str:
    """Return the key; of one that is too long its beginning, and what tells it from others like it."""
    if len(key) <= LONGEST:
        return key
    return f"{key[: LONGEST - DIGITS - 1]}~{hashlib.sha256(key.encode()).hexdigest()[:DIGITS]}"
