"""The images of the practice registry: manifests, indexes and configs made from one YAML file."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HOST = "registry.practice"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PLATFORMS = ("amd64", "arm64")
# Of the two platforms this is what the cluster's nodes run.
NODE_PLATFORM = "amd64"
LONG_AGO = "2024-01-01T00:00:00Z"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _bytes(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Image:
    """What one tag leads to; `digest` is the index's, `node_digest` the manifest's that nodes run."""

    repository: str
    tag: str
    digest: str
    node_digest: str
    labels: dict[str, str]


@dataclass
class Images:
    """Everything the registry offers."""

    tags: dict[str, dict[str, Image]] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _by_digest: dict[tuple[str, str], Image] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None) -> "Images":
        """Read `repository: [{tag, created, commit, practice/fail, labels}]`."""
        images = cls()
        if path is None:
            return images
        listed = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for repository, entries in listed.items():
            for entry in entries or []:
                images.add(str(repository), entry)
        return images

    def add(self, repository: str, entry: dict[str, Any]) -> Image:
        tag = str(entry["tag"])
        labels = _labels(tag, entry)
        created = _created(entry.get("created"))
        platforms = []
        digests = {}
        for architecture in PLATFORMS:
            data = self._manifest(repository, tag, architecture=architecture, created=created, labels=labels)
            digests[architecture] = digest_of(data)
            self.manifests[repository, digests[architecture]] = (MANIFEST, data)
            platforms.append(
                {
                    "mediaType": MANIFEST,
                    "digest": digests[architecture],
                    "size": len(data),
                    "platform": {"architecture": architecture, "os": "linux"},
                }
            )
        index = _bytes({"schemaVersion": 2, "mediaType": INDEX, "manifests": platforms})
        image = Image(repository, tag, digest_of(index), digests[NODE_PLATFORM], labels)
        self.manifests[repository, image.digest] = (INDEX, index)
        self.tags.setdefault(repository, {})[tag] = image
        for digest in (image.digest, *digests.values()):
            self._by_digest[repository, digest] = image
        return image

    def _manifest(
        self, repository: str, tag: str, *, architecture: str, created: str, labels: dict[str, str]
    ) -> bytes:
        layer = f"{repository}:{tag} for {architecture}\n".encode()
        config = _bytes(
            {
                "architecture": architecture,
                "os": "linux",
                "created": created,
                "config": {"Labels": labels},
                "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
                "history": [{"created": created, "created_by": "practice"}],
            }
        )
        for blob in (layer, config):
            self.blobs[repository, digest_of(blob)] = blob
        return _bytes(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
                "layers": [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)}],
            }
        )

    def find(self, repository: str, reference: str) -> Image | None:
        """The image of a tag, or of any digest that belongs to it."""
        if reference.startswith("sha256:"):
            return self._by_digest.get((repository, reference))
        return self.tags.get(repository, {}).get(reference)

    def labels_of(self, image: str) -> dict[str, str]:
        """The labels of an image as a pod names it; none where it is not from here."""
        reference = read_reference(image)
        found = self.find(reference.repository, reference.digest or reference.tag)
        return found.labels if found and reference.host == HOST else {}

    def manifest(self, repository: str, reference: str) -> tuple[str, bytes] | None:
        """Media type and bytes of a manifest or index."""
        if not reference.startswith("sha256:"):
            image = self.tags.get(repository, {}).get(reference)
            reference = image.digest if image else ""
        return self.manifests.get((repository, reference))


def _labels(tag: str, entry: dict[str, Any]) -> dict[str, str]:
    labels = {"org.opencontainers.image.version": tag}
    if entry.get("commit"):
        labels["org.opencontainers.image.revision"] = str(entry["commit"])
    labels |= {str(name): str(text) for name, text in (entry.get("labels") or {}).items()}
    # Whatever begins with `practice/` tells pods that run the image how to behave.
    labels |= {name: str(value) for name, value in entry.items() if name.startswith("practice/")}
    if entry.get("fail"):
        labels["practice/fail"] = str(entry["fail"])
    return labels


def _created(value: Any) -> str:
    if value is None:
        return LONG_AGO
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return str(value)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image as a pod names it."""

    host: str
    repository: str
    tag: str
    digest: str

    @property
    def place(self) -> str:
        return f"{self.host}/{self.repository}"


def read_reference(text: str) -> Reference:
    """Split `host/repository:tag@digest`, filling in what Docker Hub's short names leave out."""
    name, _, digest = text.partition("@")
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        host, repository = head, rest
    else:
        host, repository = "docker.io", name if slash else f"library/{name}"
    repository, _, tag = repository.partition(":")
    return Reference(host, repository, tag or ("" if digest else "latest"), digest)
