"""Typed readers of the environment: a missing or wrong variable stops the start with its name."""

import os
import zoneinfo
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
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


def port(name: str, default: int) -> int:
    """Return the variable as the number of a TCP port."""
    value = integer(name, default)
    if not 0 < value < 65536:
        raise ImproperlyConfigured(f"{name} is {value}; it should be a number from 1 to 65535.")
    return value


def optional_port(name: str) -> int | None:
    """Return the variable as the number of a TCP port, None where it is empty or not set."""
    return port(name, 0) if text(name, "") else None


def secret(name: str, default: str | None = None) -> str:
    """Return the variable, which must hold something."""
    value = text(name, default)
    if not value.strip():
        raise ImproperlyConfigured(f"{name} is empty; it should be a long random text.")
    return value


def time_zone(name: str, default: str) -> str:
    """Return the variable, which must name a time zone."""
    value = text(name, default)
    if value not in zoneinfo.available_timezones():
        raise ImproperlyConfigured(f"{name} is {value!r}; it should be a time zone like Asia/Seoul.")
    return value


def address(name: str, default: str | None = None, *, like: str) -> str:
    """Return the variable as a URL without a slash at its end.

    Args:
        like: an example of the right form; its scheme, with or without an s at the end, is demanded.
    """
    value = text(name, default).rstrip("/")
    parts = url_parts(name, value, like=like)
    scheme = urlsplit(like).scheme
    if parts.scheme not in {scheme, f"{scheme}s"} or not parts.hostname:
        raise ImproperlyConfigured(f"{name} should look like {like}.")
    return value


def url_parts(name: str, value: str, *, like: str) -> SplitResult:
    """Take a URL apart; it may hold a password, so that no message repeats it."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} should look like {like}.") from error
    return parts


def passkey_origin(public_url: str) -> str:
    """Return the origin at which browsers give passkeys for the portal.

    They give them to names and never to numbers (WebAuthn 2, 5.1.3): on this machine, to localhost.
    """
    parts = urlsplit(public_url)
    host = "localhost" if parts.hostname in {"127.0.0.1", "::1"} else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if parts.port in {None, usual} else f":{parts.port}")


def passkey_domain(name: str, origin: str) -> str:
    """Return the domain that passkeys belong to: the host of the portal's address, or a domain above it.

    Passkeys made for one domain are of no use under another (WebAuthn 2, 5.4, "rp.id"): who may move the
    portal within a company's domain names that one.
    """
    host = urlsplit(origin).hostname or ""
    value = text(name, "") or host
    if host != value and not host.endswith(f".{value}"):
        raise ImproperlyConfigured(f"{name} is {value!r}; it should be {host} or a domain above it.")
    return value


def signing_key(name: str, pem: str) -> Ed25519PrivateKey:
    """Read a value that must be an Ed25519 key as `openssl genpkey -algorithm ed25519` writes it."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ImproperlyConfigured(
            f"{name} should be a private key made by openssl genpkey -algorithm ed25519."
        )
    return key


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


def hosts(name: str, default: str) -> list[str]:
    """Return a comma-separated variable that must name one host at least."""
    found = words(name, default)
    if not found:
        raise ImproperlyConfigured(f"{name} is empty; it should name the hosts people use, with commas.")
    return found


def _content(name: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE names {file!r}, which cannot be read: {error}.") from error
