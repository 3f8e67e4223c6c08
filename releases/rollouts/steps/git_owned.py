"""What Git owns is not patched, and the dry run says so already (product.md, "What a rollout can do")."""

from portal.integrations.argo.ownership import NAMESPACE, owner_of
from portal.integrations.kubernetes.workloads import Workload
from portal.sentences import kept
from releases.rollouts.steps.kind import Outcome, Work, failed


def refused(work: Work, seen: Workload) -> Outcome | None:
    """Say why a workload may not be patched: its Application would undo it, or could not be asked."""
    namespace = str(work.environment.cluster.spec.get("argocdNamespace") or NAMESPACE)
    owner = owner_of(work.cluster, seen, namespace=namespace)
    if owner is None:
        return None
    args = {"object": str(seen.written), "application": owner.application, "namespace": namespace}
    if owner.unread:
        return failed("argo_unread", kept(owner.unread), args=args)
    return failed("argo_managed", args=args) if owner.heals else None
