"""Typed readers of the environment: a missing or wrong variable stops the start with its name."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """Return the variable NAME, or the content of the file that NAME_FILE names.

    Raises:
        ImproperlyConfigured: neither is set and there is no default, or the file cannot be read.
    """
    if name in os.environ:
        return os.environ[name]
    file = os.environ.get(f"{name}_FILE")
    if file:
        return _content(name, file)
    if default is None:
        raise ImproperlyConfigured(f"{name} is missing: set {name} or {name}_FILE.")
    return default


def integer(name: str, default: int) -> int:
    """Return the variable as a whole number."""
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is {value!r}; it should be a whole number.") from error


def flag(name: str, *, default: bool) -> bool:
    """Return the variable as yes (1, true, yes, on) or no (0, false, no, off)."""
    value = text(name, "yes" if default else "no").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off", ""}:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; it should be yes or no.")


def choice(name: str, default: str, options: tuple[str, ...]) -> str:
    """Return the variable, which must be one of the options."""
    value = text(name, default)
    if value not in options:
        raise ImproperlyConfigured(f"{name} is {value!r}; it should be one of {', '.join(options)}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """Return a comma-separated variable as a list without blanks."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def _content(name: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE names {file!r}, which cannot be read: {error}.") from error
