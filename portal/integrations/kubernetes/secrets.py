"""Looks into a Secret for values that nobody has set yet, and forgets them: only keys and codes leave here.

No value is part of what is returned, raised or logged (product.md: a secret is never shown).
"""

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from portal.integrations.kubernetes.client import Cluster

# What stands in a value instead of a secret, whatever is around it; compared without case and separators.
WITHIN = re.compile(
    "change(?:this|me|it)|replace(?:this|me|with)|insert(?:your|here)|placeholder|example|dummy(?:secret|password|key)"
    "|your(?:api|access|private|secret)?(?:key|password|secret|token)|todochange|fillmein"
)
# What is no secret as a whole.
WHOLE = frozenset(
    {
        *(
            "admin",
            "default",
            "dummy",
            "fixme",
            "foobar",
            "none",
            "null",
            "pass",
            "password",
            "passwd",
            "root",
        ),
        *("sample", "secret", "tbd", "test", "testing", "todo", "token", "undefined", "123456", "12345678"),
        *("qwerty", "letmein", "password1", "password123", "admin123", "secret123", "test123"),
    }
)
SEPARATORS = re.compile(r"[\s_.\-<>{}\[\]$%#*()\"'`]+")
# Of a longer value the beginning says as much.
READ = 10_000
EMPTY, PLACEHOLDER, SHORT, ABSENT = "empty", "placeholder", "short", "absent"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with one key; `least` is the length that it lacks, where that is it."""

    key: str
    code: str
    least: int = 0


def faults_of_secret(
    cluster: Cluster,
    namespace: str,
    name: str,
    *,
    least: Mapping[str, int],
    ignored: Collection[str] = (),
) -> list[Fault] | None:
    """Return what is wrong with the values of a Secret; None where there is no such Secret.

    Args:
        least: the characters that the value of a key has at least; such a key must be there.
        ignored: keys that are not looked at.

    Raises:
        PermanentError: with code "forbidden" where the account may not read it.
        TemporaryError: the cluster does not answer now.
    """
    found = cluster.read("secrets", namespace, name)
    if found is None:
        return None
    data: Mapping[str, str] = found.get("data") or {}
    keys = sorted({*data, *least} - set(ignored))
    judged = (fault_of(key, _decoded(data.get(key)), least=least.get(key, 0)) for key in keys)
    return [fault for fault in judged if fault is not None]


def fault_of(key: str, value: str | None, *, least: int = 0) -> Fault | None:
    """Judge one value; None where it may be a secret."""
    if value is None:
        return Fault(key=key, code=ABSENT)
    if not value.strip():
        return Fault(key=key, code=EMPTY)
    if is_placeholder(value):
        return Fault(key=key, code=PLACEHOLDER)
    return Fault(key=key, code=SHORT, least=least) if len(value) < least else None


def is_placeholder(value: str) -> bool:
    """Whether a value stands for one that somebody has yet to set."""
    plain = SEPARATORS.sub("", value[:READ]).lower()
    return len(set(plain)) <= 1 or plain in WHOLE or WITHIN.search(plain) is not None


def _decoded(encoded: str | None) -> str | None:
    """The value as text; bytes that are none stand for a character each."""
    if encoded is None:
        return None
    value = base64.b64decode(encoded)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
