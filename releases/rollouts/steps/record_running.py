"""Before anything changes: record what runs, so that there is a way back to exactly that."""

from portal.errors import PermanentError
from portal.integrations.argo.ownership import claim_of
from portal.integrations.kubernetes.trouble import restart_counts
from portal.integrations.kubernetes.workloads import Workload, container_statuses, pods_with, scaled_by
from releases.rollouts.images import digest_of
from releases.rollouts.steps.kind import Json, Outcome, StepKind, Verdict, Work


class RecordRunning(StepKind):
    """Reads the workload, its pods' digests and the autoscaler that owns its replica count."""

    name = "record_running"

    def observe(self, work: Work) -> Outcome:
        """Keep what runs with the step."""
        workload = work.listed_workload(work.workload)
        before = recorded(work, workload)
        observed = {
            "code": "recorded",
            "images": before["images"],
            "wanted": workload.replicas,
            "revision": workload.revision,
        }
        return Outcome(verdict=Verdict.DONE, observed=observed, before=before)


def recorded(work: Work, workload: Workload) -> Json:
    """Return all that the way back and the search for foreign changes need."""
    pods = pods_with(workload.selector, work.collection("pods"))
    return {
        "uid": workload.uid,
        "generation": workload.generation,
        "revision": workload.revision,
        "replicas": workload.replicas,
        "selector": workload.selector,
        "images": workload.images,
        "spec": workload.spec,
        "digests": running_digests(pods),
        "restarts": restart_counts(pods),
        "autoscaler": autoscaler(work, workload),
        "argo": claim.application if (claim := claim_of(workload)) and not claim.common else "",
    }


def running_digests(pods: list[Json]) -> dict[str, list[str]]:
    """Return the digests that nodes report, by container, pods that end left out."""
    found: dict[str, set[str]] = {}
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        for status in container_statuses(pod):
            digest = digest_of(status.get("imageID") or "")
            if digest:
                found.setdefault(status["name"], set()).add(digest)
    return {name: sorted(digests) for name, digests in found.items()}


def autoscaler(work: Work, workload: Workload) -> Json | None:
    """Return the autoscaler that owns the workload's replica count, if any that we may read."""
    try:
        found = work.collection("horizontalpodautoscalers")
    except PermanentError:
        return None
    for each in found:
        if scaled_by(each) == (workload.reference.kind, workload.reference.name):
            spec = each["spec"]
            return {
                "name": each["metadata"]["name"],
                "min": spec.get("minReplicas"),
                "max": spec.get("maxReplicas"),
            }
    return None
