"""Image references and digests. Pure."""

from collections.abc import Iterable

from releases.models import Item
from releases.rollouts.models import Step


def digest_of(image: str) -> str:
    """Return the "sha256:…" of an image reference or image id, empty when it has none."""
    position = image.find("sha256:")
    return image[position:] if position >= 0 else ""


def repository_of(image: str) -> str:
    """Return "host/repository" of a reference, without tag and digest."""
    name = image.split("@", maxsplit=1)[0]
    head, separator, last = name.rpartition("/")
    return f"{head}{separator}{last.split(':', maxsplit=1)[0]}"


def target_image(item: Item) -> str:
    """Return the pinned reference that is deployed; the tag, where it stands, is a label only."""
    if "@" in item.image or not item.digest:
        return item.image or f"{item.service.image}:{item.version}"
    return f"{item.image or item.service.image}@{item.digest}"


def accepted_digests(item: Item) -> set[str]:
    """Return every digest by which a node may call this item's image: index, platform or config."""
    own = {item.digest, digest_of(item.image)}
    return {str(each) for each in {*item.accepted, *own} if each}


def recorded_digests(steps: Iterable[Step]) -> set[str]:
    """Return what ran, by what steps of the kind `record_running` have kept."""
    return {
        digest
        for step in steps
        for digests in ((step.before or {}).get("digests") or {}).values()
        for digest in digests
    }
