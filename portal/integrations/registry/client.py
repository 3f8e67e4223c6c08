"""What a registry knows: the exact image behind a tag, and the tags there are, newest first."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError
from portal.integrations.registry.transport import Reply, Transport, read_json
from portal.sentences import sentence

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join((*INDEXES, *MANIFESTS))
IMAGE_NOT_FOUND = "image_not_found"
REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PLATFORMS = 20
TAG_PAGES = 10
ANNOTATION = "org.opencontainers.image."
# Which of its names are read, and how many characters of each.
WANTED = (("created", 128), ("revision", 128), ("version", 128), ("authors", 500))


@dataclass(frozen=True)
class Resolved:
    """One image, exactly.

    Attributes:
        digest: of the index or manifest the tag stands for.
        accepted: every digest that a node may report for it: index, platform manifests, configurations.
        revision: the commit it was built from, where the image says so.
        version: the tag that was asked for, else the version the image names.
        authors: who built it, as the image says: names and addresses, free text.
    """

    digest: str
    accepted: frozenset[str]
    created: datetime | None = None
    revision: str = ""
    version: str = ""
    authors: str = ""


class Registry:
    """One registry, read only."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def close(self) -> None:
        """Give up the connections."""
        self._transport.close()

    def check(self) -> None:
        """Ask whether there is a registry that lets the portal in.

        Raises:
            PermanentError: it refuses, or something else answers.
            TemporaryError: it does not answer.
        """
        reply = self._transport.get("/v2/", scope="")
        if reply.status != 200:
            raise PermanentError(_("No registry answers at this address."), code="registry_answer")

    def resolve(self, repository: str, reference: str) -> Resolved:
        """The image behind a tag or digest, now.

        Raises:
            PermanentError: with code "image_not_found" when there is none; other codes for refusals.
            TemporaryError: the registry does not answer.
        """
        top = self._manifest(repository, reference)
        body = read_json(top)
        manifests = list(self._platforms(repository, body)) or [(top.digest, body)]
        configs = {str(each.get("config", {}).get("digest", "")) for _digest, each in manifests} - {""}
        labels = self._labels(repository, body, [each for _digest, each in manifests])
        listed = {str(each.get("digest", "")) for each in _entries(body)}
        return Resolved(
            digest=top.digest,
            accepted=frozenset(
                {top.digest, *(digest for digest, _body in manifests), *configs, *listed} - {""}
            ),
            created=_time(labels.get("created", "")),
            revision=labels.get("revision", ""),
            version=labels.get("version", "") if DIGEST.fullmatch(reference) else reference,
            authors=labels.get("authors", ""),
        )

    def digest_of(self, repository: str, tag: str) -> str:
        """The digest a tag stands for now, with as little traffic as the registry allows."""
        path = _path(repository, tag)
        reply = self._transport.get(path, scope=_scope(repository), accept=ACCEPT, method="HEAD")
        digest = reply.headers.get("Docker-Content-Digest", "")
        if reply.status == 200 and DIGEST.fullmatch(digest):
            return digest
        return self._manifest(repository, tag).digest

    def tags(self, repository: str) -> list[str]:
        """Every tag, in the registry's order.

        Raises:
            PermanentError: with code "image_not_found" when there is no such repository.
        """
        _check_repository(repository)
        path, found = f"/v2/{repository}/tags/list?n=1000", list[str]()
        for _page in range(TAG_PAGES):
            reply = self._transport.get(path, scope=_scope(repository))
            if reply.status != 200:
                raise _not_found(repository, reply)
            names = read_json(reply).get("tags") or []
            found += [each for each in names if isinstance(each, str) and TAG.fullmatch(each)]
            following = _next_page(reply)
            if not following:
                break
            path = following
        return found

    def _manifest(self, repository: str, reference: str) -> Reply:
        reply = self._transport.get(_path(repository, reference), scope=_scope(repository), accept=ACCEPT)
        if reply.status != 200:
            raise _not_found(f"{repository}:{reference}", reply)
        kind = reply.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind not in (*INDEXES, *MANIFESTS):
            text = _("{image} is no image of a kind that nodes can run.")
            raise PermanentError(sentence(text, image=f"{repository}:{reference}"), code="image_unknown_kind")
        said = reply.headers.get("Docker-Content-Digest", "")
        asked = reference if DIGEST.fullmatch(reference) else said
        if (said.startswith("sha256:") and said != reply.digest) or (asked and asked != reply.digest):
            text = _("The registry's answer for {image} does not have the digest that it names.")
            raise PermanentError(sentence(text, image=f"{repository}:{reference}"), code="image_damaged")
        return reply

    def _platforms(self, repository: str, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The manifests an index lists, without those that only attest something about others."""
        for each in _entries(body)[:PLATFORMS]:
            digest = str(each.get("digest", ""))
            is_image = (each.get("platform") or {}).get("os") != "unknown"
            if DIGEST.fullmatch(digest) and is_image and each.get("mediaType") in MANIFESTS:
                yield digest, read_json(self._manifest(repository, digest))

    def _labels(
        self, repository: str, top: dict[str, Any], manifests: list[dict[str, Any]]
    ) -> dict[str, str]:
        """When, from what and by whom the image was built, from its annotations or its configuration."""
        found: dict[str, str] = {}
        for each in (top, *manifests[:1]):
            found = {**_named(each.get("annotations")), **found}
        if {"created", "revision", "authors"} <= found.keys():
            return found
        config = self._configuration(repository, manifests)
        labels = _named((config.get("config") or {}).get("Labels"))
        return {**labels, **({"created": str(config["created"])} if config.get("created") else {}), **found}

    def _configuration(self, repository: str, manifests: list[dict[str, Any]]) -> dict[str, Any]:
        digest = str((manifests[0].get("config") or {}).get("digest", "")) if manifests else ""
        if not DIGEST.fullmatch(digest):
            return {}
        # Blobs may lie on another host, which is not followed; then the image goes without a date.
        with suppress(PermanentError):
            reply = self._transport.get(f"/v2/{repository}/blobs/{digest}", scope=_scope(repository))
            if reply.status == 200 and reply.digest == digest:
                return read_json(reply)
        return {}


def newest_first(found: Iterable[Resolved]) -> list[Resolved]:
    """Order by the time of building; images without a time come last, by version number."""
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(found, key=lambda each: (each.created or oldest, version_order(each.version)), reverse=True)


def version_order(tag: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts 1.10 above 1.9, and a release above its candidates."""
    parts = re.findall(r"\d+|[A-Za-z]+", tag.removeprefix("v"))
    return (*((1, int(each[:18]), "") if each.isdigit() else (-1, 0, each) for each in parts), (0, 0, ""))


def _path(repository: str, reference: str) -> str:
    _check_repository(repository)
    if not (TAG.fullmatch(reference) or DIGEST.fullmatch(reference)):
        text = sentence(_("{version} is no version that an image can have."), version=reference[:60])
        raise PermanentError(text, code=IMAGE_NOT_FOUND)
    return f"/v2/{repository}/manifests/{reference}"


def _check_repository(repository: str) -> None:
    if not REPOSITORY.fullmatch(repository):
        text = sentence(_("{repository} is no repository's name."), repository=repository[:60])
        raise PermanentError(text, code=IMAGE_NOT_FOUND)


def _scope(repository: str) -> str:
    return f"repository:{repository}:pull"


def _not_found(image: str, reply: Reply) -> PermanentError:
    if reply.status == 404:
        return PermanentError(sentence(_("The registry has no {image}."), image=image), code=IMAGE_NOT_FOUND)
    text = sentence(_("The registry refuses {image} (HTTP {status})."), image=image, status=reply.status)
    return PermanentError(text, code="registry_answer")


def _entries(body: dict[str, Any]) -> list[dict[str, Any]]:
    found = body.get("manifests")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _named(values: object) -> dict[str, str]:
    if not isinstance(values, dict):
        return {}
    return {
        name: str(values[ANNOTATION + name])[:most] for name, most in WANTED if values.get(ANNOTATION + name)
    }


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _next_page(reply: Reply) -> str:
    match = re.match(r'\s*<([^>]+)>\s*;\s*rel="?next', reply.headers.get("Link", ""))
    if not match:
        return ""
    # Only path and query: the next page is asked of the same registry, whatever host it names.
    parts = urlsplit(match[1])
    return f"{parts.path}?{parts.query}" if parts.path.startswith("/") else ""
