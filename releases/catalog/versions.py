"""The versions of a service that its registry offers, and the exact image behind one."""

import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Generic, TypeVar

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError
from portal.integrations.registry.client import DIGEST, Registry, Resolved, newest_first, version_order
from portal.integrations.registry.transport import Transport
from releases.catalog.models import Connection, ConnectionKind, Service
from releases.catalog.references import address_of, value_of

OFFERED = 60
AT_ONCE = 6
NO_CONNECTION = "registry_unknown"
Value = TypeVar("Value")


@dataclass
class Memory(Generic[Value]):
    """Answers of registries, kept in this process: what comes out of Redis is not trusted that far.

    Attributes:
        seconds: how long an answer is good.
        size: how many are kept, the least recently used going first.
    """

    seconds: float
    size: int
    _kept: OrderedDict[str, tuple[float, Value]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def get(self, key: str) -> Value | None:
        """The answer, unless it is too old."""
        with self._lock:
            until, value = self._kept.get(key, (0.0, None))
            if until < time.monotonic():
                self._kept.pop(key, None)
                return None
            self._kept.move_to_end(key)
            return value

    def put(self, key: str, value: Value) -> None:
        """Keep an answer."""
        with self._lock:
            self._kept[key] = (time.monotonic() + self.seconds, value)
            self._kept.move_to_end(key)
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


# A tag may move at any moment; what a digest stands for never changes.
LISTS = Memory[list[Resolved]](seconds=15, size=500)
IMAGES = Memory[Resolved](seconds=86_400, size=5_000)


def resolve(service: Service, version: str) -> Resolved:
    """The image of a service's version, asked of its registry now.

    Args:
        version: a tag, or a digest "sha256:…".

    Raises:
        PermanentError: with code "image_not_found" when there is no such version.
        TemporaryError: the registry does not answer.
    """
    host, repository = split_image(service.image)
    registry = registry_for(host)
    try:
        return registry.resolve(repository, version)
    finally:
        registry.close()


def versions(service: Service) -> list[Resolved]:
    """The versions on offer, newest first; seconds old at most, and of very many the highest.

    Raises:
        PermanentError: there is no such repository, or no connection for its host.
        TemporaryError: the registry does not answer.
    """
    host, repository = split_image(service.image)
    if (known := LISTS.get(service.image)) is not None:
        return known
    registry = registry_for(host)
    try:
        found = _look(registry, service.image, repository)
    finally:
        registry.close()
    LISTS.put(service.image, found)
    return found


def _look(registry: Registry, image: str, repository: str) -> list[Resolved]:
    tags = sorted(registry.tags(repository), key=version_order, reverse=True)[:OFFERED]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda tag: _one(registry, image, repository, tag), tags))
    return newest_first(each for each in found if each)


def _one(registry: Registry, image: str, repository: str, tag: str) -> Resolved | None:
    """A tag can vanish, or hold no image at all, between the list and the look."""
    try:
        digest = registry.digest_of(repository, tag)
        known = IMAGES.get(f"{image}@{digest}")
        if known is None:
            known = registry.resolve(repository, digest)
            IMAGES.put(f"{image}@{digest}", known)
    except PermanentError:
        return None
    return replace(known, version=tag)


def split_image(image: str) -> tuple[str, str]:
    """Host and repository of an image's name."""
    host, _slash, repository = image.partition("/")
    return host, repository


def registry_for(host: str) -> Registry:
    """A client for the connection that names this host.

    Raises:
        PermanentError: no connection does, or what it refers to is not set.
    """
    for connection in Connection.objects.filter(kind=ConnectionKind.REGISTRY).order_by("name"):
        spec = connection.spec
        if spec["host"] == host:
            login = [value_of(spec[each]) for each in ("usernameRef", "passwordRef") if each in spec]
            username, password = login or ("", "")
            transport = Transport(
                address_of(spec["url"]),
                username=username,
                password=password,
                token_hosts=frozenset(spec.get("tokenHosts", [])),
                authority_file=str(spec.get("caRef", "")).removeprefix("file:"),
            )
            return Registry(transport)
    text = _("No connection names the registry {host}; add one to the catalog.").format(host=host)
    raise PermanentError(text, code=NO_CONNECTION)


def is_digest(version: str) -> bool:
    """Whether the version names an image exactly."""
    return bool(DIGEST.fullmatch(version))
