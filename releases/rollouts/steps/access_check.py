"""Preflight: may the portal do all it will need in the namespace, and are the workloads its to change?

The rights: protocols.md, A7.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from portal.errors import PermanentError
from portal.integrations.kubernetes.client import Right, group_of
from portal.integrations.kubernetes.manifests import plural_of
from portal.integrations.kubernetes.workloads import API_GROUPS, DAEMON_SET, PLURALS, ROLLOUT, Reference
from releases.catalog.manifests import manifests_of
from releases.rollouts.models import Step
from releases.rollouts.steps import git_owned
from releases.rollouts.steps.habits import astray
from releases.rollouts.steps.health import asks_pods
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Work, done, failed
from releases.rollouts.steps.leftovers import known_objects
from releases.rollouts.steps.watch import gates_of

AT_ONCE = 6
BATCH, AUTOSCALING, ARGO = "batch", "autoscaling", API_GROUPS[ROLLOUT]
GATEWAY, DISCOVERY = "gateway.networking.k8s.io", "discovery.k8s.io"
READS = (
    Right(verb="list", resource="pods"),
    Right(verb="watch", resource="pods"),
    Right(verb="list", resource="events"),
    Right(verb="get", resource="pods", subresource="log"),
    Right(verb="list", resource="replicasets", group="apps"),
)


JOBS = (
    Right(verb="create", resource="jobs", group=BATCH),
    Right(verb="get", resource="jobs", group=BATCH),
    Right(verb="get", resource="cronjobs", group=BATCH),
)
ASKING_PODS = (Right(verb="get", resource="pods", subresource="proxy"),)
# What single kinds of step need besides, gates of a watch among them.
OF_KINDS = {
    "run_job": JOBS,
    "restore_database": JOBS,
    "scale": (
        Right(verb="list", resource="horizontalpodautoscalers", group=AUTOSCALING),
        Right(verb="patch", resource="horizontalpodautoscalers", group=AUTOSCALING),
    ),
    "cluster_view": ASKING_PODS,
    "health": ASKING_PODS,
    "set_weight": (
        Right(verb="get", resource="httproutes", group=GATEWAY),
        Right(verb="patch", resource="httproutes", group=GATEWAY),
        Right(verb="list", resource="endpointslices", group=DISCOVERY),
    ),
    "switch_service": (
        Right(verb="get", resource="services"),
        Right(verb="patch", resource="services"),
        Right(verb="list", resource="endpointslices", group=DISCOVERY),
    ),
}


# What an autoscaler may aim at, and every account may read that changes it.
SCALED = ("Deployment", "StatefulSet")
# Steps that patch the workload they name.
PATCHING = frozenset({"set_image", "scale"})


class AccessCheck(StepKind):
    """Asks the cluster once per right."""

    name = "access_check"
    measures = True

    def plan(self, work: Work) -> Planned:
        """Name what is missing before anybody starts, and autoscalers that aim at nothing."""
        return Planned(error=self.observe(work).failure, notes=_astray(work))

    def observe(self, work: Work) -> Outcome:
        """Name the rights that are missing."""
        namespace = work.environment.namespace
        rights, cluster = _rights(work), work.cluster
        with ThreadPoolExecutor(AT_ONCE) as pool:
            held = list(pool.map(lambda right: cluster.may(right, namespace=namespace), rights))
        missing = [str(right) for right, may in zip(rights, held, strict=True) if not may]
        if missing:
            return failed("rights_missing", ", ".join(missing), args={"rights": ", ".join(missing)})
        return _owned_by_git(work) or done("rights_held")


def _astray(work: Work) -> list[Json]:
    try:
        autoscalers = work.collection("horizontalpodautoscalers")
        kinds = {kind for kind in SCALED if any(kind == _target(each) for each in autoscalers)}
        there = {kind: [each.reference.name for each in work.workloads(kind)] for kind in kinds}
    except PermanentError:
        return []  # an account that may not read them knows nothing of them
    return astray(autoscalers, there)


def _target(autoscaler: Json) -> str:
    return str(((autoscaler.get("spec") or {}).get("scaleTargetRef") or {}).get("kind", ""))


def _owned_by_git(work: Work) -> Outcome | None:
    """Name the first workload that would be patched and is changed in Git alone."""
    documents = [each for step in work.siblings if step.kind in PATCHING for each in _patched(work, step)]
    namespace = work.environment.namespace
    patched = {Reference(each.get("kind", "Deployment"), namespace, each["name"]) for each in documents}
    for kind in sorted({each.kind for each in patched}):
        for seen in work.workloads(kind):
            refusal = git_owned.refused(work, seen) if seen.reference in patched else None
            if refusal is not None:
                return refusal
    return None


def _patched(work: Work, step: Step) -> list[Json]:
    """The workloads that a step may patch; of a step that names a colour, each of its service."""
    if "workload" in step.params:
        return [step.params["workload"]]
    specs = [item.service.spec for item in work.items if item.service_id == step.service_id]
    return [each for spec in specs for each in spec.get("workloads") or []]


def _of_manifests(work: Work) -> list[Right]:
    """What the folders of the plan take: an object that is not there is made, and deleted on the way back."""
    steps = [each for each in work.siblings if each.kind == "apply_manifests"]
    found = [manifests_of(each.params["manifests"], work.environment.name) for each in steps]
    kinds = {plural_of(each) for folder in found if folder for each in folder.objects}
    known: dict[bool, set[str]] = {True: set(), False: set()}
    for step in steps:
        objects = known_objects(replace(work, step=step))
        known[bool(step.params.get("prune"))] |= {plural_of(each) for each in objects}
    kinds |= known[True]
    written = [(verb, plural) for plural in sorted(kinds) for verb in ("get", "create", "patch", "delete")]
    read = [("get", plural) for plural in sorted(known[False] - kinds)]
    return [Right(verb=verb, resource=each, group=group_of(each)) for verb, each in [*written, *read]]


def _rights(work: Work) -> list[Right]:
    documents = [each for item in work.items for each in item.service.spec.get("workloads") or []]
    found = sorted({each.get("kind", "Deployment") for each in documents} or {"Deployment"})
    writes = [
        Right(verb=verb, resource=PLURALS[kind], group=API_GROUPS.get(kind, "apps"))
        for kind in found
        for verb in ("get", "list", "watch", "patch")
    ]
    if DAEMON_SET in found:
        writes.append(Right(verb="list", resource="controllerrevisions", group="apps"))
    if ROLLOUT in found:
        writes.append(Right(verb="patch", resource="rollouts", group=ARGO, subresource="status"))
    writes += _of_manifests(work)
    steps = [each for step in work.siblings for each in (step, *gates_of(step))]
    kinds = {each.kind for each in steps if each.kind != "health" or asks_pods(each)}
    special = [right for kind in sorted(kinds & OF_KINDS.keys()) for right in OF_KINDS[kind]]
    return list(dict.fromkeys([*writes, *READS, *special]))
