"""Which workloads a step that looks at pods is about."""

from portal.errors import PermanentError
from portal.integrations.kubernetes.errors import MISSING
from portal.integrations.kubernetes.workloads import Reference, Workload
from releases.rollouts.steps.kind import Json, Work


def workloads_of(work: Work) -> list[Workload]:
    """Return the step's own workload, the canary that a watch is about, or every one of the service.

    Those that are not there are left out.

    Raises:
        PermanentError: with code "colours_unknown" where it is a colour's, and nobody knows yet which.
    """
    found = [_there(work, reference) for reference in _references(work)]
    return [workload for workload in found if workload is not None]


def _references(work: Work) -> list[Reference]:
    params, service = work.step.params, work.step.service
    documents: list[Json] = (service.spec.get("workloads") if service else None) or []
    if {"workload", "colour"} & params.keys():
        return [work.workload]
    if "pair" in params:
        kind = next(
            (each["kind"] for each in documents if each["name"] == params["pair"]["stable"]), "Deployment"
        )
        documents = [{"kind": kind, "name": params["pair"]["canary"]}]
    namespace = work.environment.namespace
    return [Reference(each.get("kind", "Deployment"), namespace, each["name"]) for each in documents]


def _there(work: Work, reference: Reference) -> Workload | None:
    try:
        return work.cluster.workload(reference)
    except PermanentError as error:
        if error.code == MISSING:
            return None
        raise
