"""What pods mount: a source that is not there keeps them from starting, an unbound claim from a node."""

from collections.abc import Iterator

from portal.embedded.cluster import kinds
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.store import Object, Store


def unmounted(store: Store, pod: Object) -> str:
    """Say in the kubelet's words which volume cannot be mounted; empty where all can."""
    namespace = pod["metadata"]["namespace"]
    for volume, kind, name in _sources(pod):
        if store.get(kind, namespace, name) is None:
            lacking = f'{kind.kind.lower()} "{name}" not found'
            return f'MountVolume.SetUp failed for volume "{volume}" : {lacking}'
    return ""


def unbound(store: Store, pod: Object) -> str:
    """Say in the scheduler's words which claim keeps a pod from every node; empty where none does."""
    for volume in pod["spec"].get("volumes") or []:
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if name is None:
            continue
        claim = store.get(kinds.CLAIMS, pod["metadata"]["namespace"], name)
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if (claim.get("status") or {}).get("phase") != "Bound":
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def _sources(pod: Object) -> Iterator[tuple[str, Kind, str]]:
    """The ConfigMaps and Secrets that must be there, with the volume that each is for."""
    for volume in pod["spec"].get("volumes") or []:
        for part in [volume, *((volume.get("projected") or {}).get("sources") or [])]:
            for field, key, kind in (
                ("configMap", "name", kinds.CONFIGMAPS),
                ("secret", "secretName" if part is volume else "name", kinds.SECRETS),
            ):
                source = part.get(field)
                if source and not source.get("optional"):
                    yield volume["name"], kind, source[key]
