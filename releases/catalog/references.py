"""Reads what a connection names without holding it: "env:NAME" and "file:PATH"."""

import os
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError

MAX_BYTES = 100_000
UNSET = "reference_unset"


def value_of(reference: str) -> str:
    """The text a reference stands for; a name may also come as NAME_FILE.

    Raises:
        PermanentError: with code "reference_unset": nothing is there, or it cannot be read. The value itself
            is never part of a message.
    """
    kind, _colon, name = reference.partition(":")
    if kind == "file":
        return _file(Path(name))
    found = os.environ.get(name, "")
    if not found and (path := os.environ.get(f"{name}_FILE")):
        return _file(Path(path))
    if not found:
        raise PermanentError(_("{name} is not set in the environment.").format(name=name), code=UNSET)
    return found


def address_of(reference: str) -> str:
    """The address a connection gives openly, or by "env:NAME"."""
    return value_of(reference) if reference.startswith("env:") else reference


def _file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        text = _("{path} cannot be read ({reason}).").format(path=path, reason=type(error).__name__)
        raise PermanentError(text, code=UNSET) from error
    if len(text) > MAX_BYTES:
        raise PermanentError(_("{path} is too large for a secret.").format(path=path), code=UNSET)
    return text.strip()
