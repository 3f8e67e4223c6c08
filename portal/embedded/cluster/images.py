"""The images that the practice registry offers: made from a short list, the same bytes at every start.

A tag is an OCI index with one manifest for amd64 and one for arm64; each manifest has its own config. Nothing
of it is stored: the digests follow from the list.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HOST = "registry.practice"
PLATFORMS = ("amd64", "arm64")
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Blob:
    """Exact bytes with their type; the digest names them."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, as registries write it."""
        return "sha256:" + hashlib.sha256(self.content).hexdigest()

    @property
    def descriptor(self) -> dict[str, Any]:
        """How other documents refer to it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True)
class Image:
    """A tagged image: its index, the manifest of each platform, the configs and their one layer."""

    repository: str
    tag: str
    labels: Mapping[str, str] = field(hash=False)
    index: Blob
    manifests: tuple[Blob, ...]
    blobs: tuple[Blob, ...]

    @property
    def pulled_digest(self) -> str:
        """The platform manifest that a node pulls and reports."""
        return self.manifests[0].digest

    @property
    def digests(self) -> frozenset[str]:
        """All names under which this image may be asked for."""
        return frozenset({self.index.digest, *(each.digest for each in self.manifests)})

    @classmethod
    def build(cls, repository: str, entry: Mapping[str, Any]) -> "Image":
        """Make the image from one line of the list: {tag, created, commit, labels}."""
        tag, created = str(entry["tag"]), str(entry.get("created") or "2026-01-01T00:00:00Z")
        labels = {
            "org.opencontainers.image.version": tag,
            "org.opencontainers.image.revision": str(entry.get("commit") or ""),
            "org.opencontainers.image.created": created,
            **{str(name): str(value) for name, value in (entry.get("labels") or {}).items()},
        }
        layer = Blob(LAYER_TYPE, f"{repository}:{tag}".encode())
        configs = [_config(architecture, created, labels, layer) for architecture in PLATFORMS]
        manifests = tuple(_manifest(config, layer) for config in configs)
        return cls(
            repository=repository,
            tag=tag,
            labels=labels,
            index=_index(manifests),
            manifests=manifests,
            blobs=(layer, *configs),
        )


@dataclass
class Images:
    """Every image, found by repository and by tag or digest."""

    by_repository: dict[str, list[Image]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None) -> "Images":
        """Read the list; without one the registry is empty."""
        if path is None:
            return cls()
        listed = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return cls(
            {name: [Image.build(name, entry) for entry in entries] for name, entries in listed.items()}
        )

    def find(self, repository: str, reference: str) -> Image | None:
        """Return the image with this tag, or the one that one of its digests names."""
        for image in self.by_repository.get(repository, []):
            if reference == image.tag or reference in image.digests:
                return image
        return None

    def pull(self, reference: str) -> Image | None:
        """Return what `registry.practice/NAME[:TAG][@DIGEST]` names; a digest outweighs the tag.

        Raises:
            ValueError: the reference is of another registry.
        """
        host, _, rest = reference.partition("/")
        if host != HOST:
            raise ValueError(reference)
        name, _, digest = rest.partition("@")
        repository, _, tag = name.partition(":")
        return self.find(repository, digest or tag or "latest")


def _config(architecture: str, created: str, labels: Mapping[str, str], layer: Blob) -> Blob:
    document = {
        "architecture": architecture,
        "config": {"Labels": dict(labels)},
        "created": created,
        "os": "linux",
        "rootfs": {"diff_ids": [layer.digest], "type": "layers"},
    }
    return Blob(CONFIG_TYPE, _bytes(document))


def _manifest(config: Blob, layer: Blob) -> Blob:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor,
        "layers": [layer.descriptor],
    }
    return Blob(MANIFEST_TYPE, _bytes(document))


def _index(manifests: tuple[Blob, ...]) -> Blob:
    described = [
        {**manifest.descriptor, "platform": {"architecture": architecture, "os": "linux"}}
        for manifest, architecture in zip(manifests, PLATFORMS, strict=True)
    ]
    return Blob(INDEX_TYPE, _bytes({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": described}))


def _bytes(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
