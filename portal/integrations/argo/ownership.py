"""Does Git own a workload? Argo CD's marks on it, and the Application that they name.

What an Application with self-heal tracks must not be patched: it is undone within seconds (protocols.md, fact
10 and "Tracking"). A mark counts only where it names the object on which it stands: copies of manifests carry
the marks of their originals.
"""

from dataclasses import dataclass

from portal.errors import PermanentError
from portal.integrations.kubernetes.client import Cluster, collection_path
from portal.integrations.kubernetes.workloads import Json, Reference, Workload
from portal.sentences import Text

TRACKING_ID = "argocd.argoproj.io/tracking-id"
OWN_LABEL = "argocd.argoproj.io/instance"
COMMON_LABEL = "app.kubernetes.io/instance"
NAMESPACE = "argocd"


@dataclass(frozen=True)
class Claim:
    """What a mark says: the Application by name, and in which namespace where it says so.

    Attributes:
        certain: the mark itself names this object; otherwise the Application has to list it.
        common: others than Argo CD use this mark as well, such as Helm.
    """

    application: str
    namespace: str = ""
    certain: bool = False
    common: bool = False


@dataclass(frozen=True)
class Owner:
    """The Application that owns a workload.

    Attributes:
        heals: it undoes by itself what others change.
        unread: why it could not be read, in the cluster's own words; then nobody knows whether it heals.
    """

    application: str
    heals: bool
    unread: Text = ""


def claim_of(workload: Workload) -> Claim | None:
    """Return what the marks on the object that holds the template say; None where they say nothing of it."""
    written = workload.written
    metadata = (workload.holder or workload.raw)["metadata"]
    labels = metadata.get("labels") or {}
    tracked = _tracked((metadata.get("annotations") or {}).get(TRACKING_ID, ""), written)
    if tracked is not None:
        return tracked
    if labels.get(OWN_LABEL):
        return Claim(labels[OWN_LABEL])
    return Claim(labels[COMMON_LABEL], common=True) if labels.get(COMMON_LABEL) else None


def _tracked(text: str, written: Reference) -> Claim | None:
    """Read `app:group/Kind:namespace/name`; an Application in a namespace of its own is `namespace_app`."""
    application, _colon, rest = text.partition(":")
    if not application or rest != f"{written.group}/{written.kind}:{written.namespace}/{written.name}":
        return None
    namespace, underscore, name = application.partition("_")
    return Claim(name, namespace, certain=True) if underscore else Claim(application, certain=True)


def owner_of(cluster: Cluster, workload: Workload, *, namespace: str = NAMESPACE) -> Owner | None:
    """Return the Application that owns a workload; None where Git does not own it.

    Args:
        namespace: where Argo CD keeps its Applications.

    Raises:
        TemporaryError: the cluster does not answer.
    """
    claim = claim_of(workload)
    if claim is None:
        return None
    try:
        found = cluster.get(
            f"{collection_path('applications', claim.namespace or namespace)}/{claim.application}"
        )
    except PermanentError as error:
        # Where there is no such Application, or none to look at, a common label is what it mostly is: Helm's.
        return None if claim.common else Owner(claim.application, heals=False, unread=error.detail)
    if not claim.certain and not lists(found, workload.written):
        return None
    return Owner(claim.application, heals=heals(found))


def lists(application: Json, written: Reference) -> bool:
    """Whether an Application says that an object is one of its own."""
    wanted = (written.group, written.kind, written.namespace, written.name)
    resources = (application.get("status") or {}).get("resources") or []
    names = ("group", "kind", "namespace", "name")
    return any(tuple(each.get(name, "") for name in names) == wanted for each in resources)


def heals(application: Json) -> bool:
    """Whether an Application undoes what others change: automated, not switched off, with self-heal."""
    automated = ((application.get("spec") or {}).get("syncPolicy") or {}).get("automated")
    if automated is None or automated.get("enabled") is False:
        return False
    return bool(automated.get("selfHeal"))
