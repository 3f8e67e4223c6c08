"""What the steps of a service under Helm share: how helm is called, what is released, and what may not be.

helm is never told to wait for pods: that would hold a worker. The objects are watched like any others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.errors import PermanentError
from portal.integrations.helm import manifests
from portal.integrations.helm.client import Charted, Helm, Revision
from portal.integrations.helm.manifests import Difference
from portal.integrations.kubernetes.connection import Access, read_connection
from portal.integrations.kubernetes.workloads import PLURALS, Reference, Workload, scaled_by
from releases.catalog.charts import chart_of, values_for
from releases.catalog.models import Stage
from releases.rollouts.drift import Drift
from releases.rollouts.images import digest_of, repository_of, target_image
from releases.rollouts.models import Step
from releases.rollouts.steps import git_owned, holds
from releases.rollouts.steps.kind import Json, Outcome, Work, failed, hold, wait
from releases.rollouts.steps.set_image import remembered

STEP_LABEL = "release-portal.step"
ROLLOUT_LABEL = "release-portal.rollout"
MOST_CHANGES = 100
AUTOSCALER = "HorizontalPodAutoscaler"
# Hooks are all that helm waits for; they end within the time of a worker's job, or are a Job of the plan.
HOOK_SECONDS = 20
# So long an operation that has begun may belong to a helm that still runs, left by a worker that died.
PENDING_SECONDS = 45.0
POLL_SECONDS = 3.0
# Revisions that hold what once ran as a whole.
WENT_OUT = frozenset({"deployed", "superseded"})


@dataclass(frozen=True)
class Rendered:
    """What an upgrade would write, as the cluster checked it, and what helm would run beside it."""

    objects: list[Json]
    hooks: list[Json]
    on_server: bool = False

    @property
    def everything(self) -> list[Json]:
        """Objects and hooks."""
        return [*self.objects, *self.hooks]


def helm_of(work: Work) -> Helm:
    """Return helm for the namespace of a step.

    Raises:
        PermanentError: with code "connection" when its account is unusable or leads elsewhere.
    """
    return Helm(
        binary=settings.HELM_BINARY,
        access=_access(work.environment.cluster.spec),
        namespace=work.environment.namespace,
        beat=work.beat,
        takes_fields=bool(work.step.params["helm"].get("forceConflicts")),
    )


def _access(spec: Mapping[str, object]) -> Access:
    """Helm reads every Secret of its namespaces: it may have an account of its own, on the same cluster."""
    own = read_connection(spec)
    reference = spec.get("helmKubeconfigRef")
    if not reference:
        return own
    kept = {key: value for key, value in spec.items() if key == "allowInsecure"}
    access = read_connection({**kept, "kubeconfigRef": reference})
    if access.server != own.server:
        text = _("helmKubeconfigRef leads to {other}, the connection itself to {server}.")
        raise PermanentError(text.format(other=access.server, server=own.server), code="connection")
    return access


def release_of(work: Work) -> str:
    """The name of the Helm release."""
    return str(work.step.params["helm"]["release"])


def charted_of(work: Work) -> Charted:
    """Return the chart with its values and the release's image.

    Raises:
        PermanentError: the chart is not there, or not the one that was approved.
    """
    document, item = work.step.params["helm"], work.item
    if item is None:
        raise PermanentError(code="no_item")
    chart = chart_of(document)
    sealed = _sealed_digest(work)
    if sealed and sealed != chart.digest:
        text = _("The chart {name} is no longer as it was approved.").format(name=chart.name)
        raise PermanentError(text, code="chart_changed")
    image = target_image(item)
    values = values_for(
        document,
        work.environment.name,
        repository=repository_of(image),
        version=item.version,
        digest=digest_of(image),
    )
    return Charted(release=release_of(work), chart=chart, values=values)


def _sealed_digest(work: Work) -> str:
    """What the approval says of the chart; empty for a draft."""
    service = work.step.service.name if work.step.service else ""
    items = (work.release.content or {}).get("items") or []
    found: Json = next((each for each in items if each.get("service") == service), {})
    return str((found.get("helm") or {}).get("chart_digest") or "")


def rendered(helm: Helm, charted: Charted) -> Rendered:
    """Render as an upgrade would now, checked by the cluster, without writing anything."""
    draft = helm.dry_run(charted)
    found = manifests.objects(draft.text)
    objects = manifests.without_hooks(found)
    return Rendered(objects, [each for each in found if each not in objects], draft.on_server)


def refusal(work: Work, found: Rendered) -> Outcome | None:
    """Say why what is rendered may not go out; None where it may.

    product.md, "What real clusters look like"; reference-systems.md 5, on images.
    """
    elsewhere = manifests.foreign_namespaces(found.everything, work.environment.namespace)
    if elsewhere:
        return failed("helm_other_namespace", args={"names": ", ".join(elsewhere)})
    wrong = _unpinned(work, found) or _other_workloads(work, found.objects)
    return wrong or _kept_by_others(work) or _autoscaled(work, found.objects)


def _kept_by_others(work: Work) -> Outcome | None:
    """Refuse what Git would undo, and where somebody has paused a workload: nothing would come of it."""
    refused = (git_owned.refused(work, each) or holds.refused(each) for each in _present(work))
    return next(filter(None, refused), None)


def _unpinned(work: Work, found: Rendered) -> Outcome | None:
    if work.environment.stage != Stage.PRODUCTION:
        return None
    allowed = work.step.params["helm"].get("unpinned") or []
    names = manifests.unpinned(manifests.images(found.everything), allowed=allowed)
    return failed("image_unpinned", args={"names": ", ".join(names)}) if names else None


def _other_workloads(work: Work, objects: Iterable[Json]) -> Outcome | None:
    """What the catalog names is watched and gets the image; so it must be what the chart renders."""
    shown = manifests.workloads(objects)
    named = {_key(each): each.get("containers") or [] for each in work.step.params["workloads"]}
    differing = sorted(shown.keys() ^ named.keys())
    if differing:
        return failed("helm_workloads_differ", args={"names": ", ".join(differing)})
    assert work.item is not None
    digest = digest_of(target_image(work.item))
    wrong = [
        f"{key} {container}"
        for key, containers in named.items()
        for container in containers or shown[key]
        if digest not in shown[key].get(container, "")
    ]
    return failed("helm_image_unset", args={"names": ", ".join(wrong)}) if wrong else None


def _autoscaled(work: Work, objects: Sequence[Json]) -> Outcome | None:
    """Refuse to write a size that an autoscaler decides, be that there or in the chart."""
    sized = {manifests.name_of(each) for each in objects if "replicas" in (each.get("spec") or {})}
    if not sized:
        return None
    # Taking one that may not be read for none would fight it.
    rendered_ones = [each for each in objects if each["kind"] == AUTOSCALER]
    scalers = [*work.collection("horizontalpodautoscalers"), *rendered_ones]
    names = sorted(sized & {"/".join(scaled_by(each)) for each in scalers})
    return failed("helm_names_replicas", args={"names": ", ".join(names)}) if names else None


def held(work: Work) -> list[Json]:
    """What the portal holds of the workloads, as changes: Helm leaves a pause as it stands."""
    return [change for each in _present(work) for change in holds.lifted(each)]


def let_go(work: Work) -> None:
    """Let what the portal holds of the workloads go on; called once Helm has written them.

    Raises:
        TemporaryError: with code "conflict" when a controller wrote meanwhile.
    """
    for each in _present(work):
        if each.goes_on_with_template:
            work.cluster.let_go(each)


def _present(work: Work) -> list[Workload]:
    """Those of the workloads that are there already."""
    namespace = work.environment.namespace
    named = [Reference(each["kind"], namespace, each["name"]) for each in work.step.params["workloads"]]
    found = [work.cluster.read(PLURALS[each.kind], namespace, each.name) for each in named]
    return [
        Workload({"kind": reference.kind, **body})
        for reference, body in zip(named, found, strict=True)
        if body is not None
    ]


def changes_of(release: str, found: Iterable[Difference]) -> list[Json]:
    """Return differences as a step shows them, the first of them where there are very many."""
    rows = [
        {"object": each.thing, "field": each.field, "before": each.before, "after": each.after}
        for each in found
    ]
    more = len(rows) - MOST_CHANGES
    if more <= 0:
        return rows
    rest = {"object": f"helm/{release}", "field": "…", "before": "", "after": f"+ {more}"}
    return [*rows[:MOST_CHANGES], rest]


def deployed_objects(helm: Helm, release: str, history: list[Revision]) -> list[Json]:
    """Return what the newest revision that went out wrote; nothing where none has."""
    newest = went_out(history)
    return manifests.objects(helm.manifest(release, revision=newest)) if newest else []


def went_out(history: Iterable[Revision], *, before: int = 0) -> int:
    """Return the newest revision that went out as a whole, older than `before`; 0 where there is none."""
    found = [
        each.number for each in history if each.status in WENT_OUT and (not before or each.number < before)
    ]
    return max(found, default=0)


def step_mark(work: Work) -> dict[str, str]:
    """The label by which a second start of this very step finds the first one's revision."""
    rollout = work.rollout.pk if work.rollout else 0
    return {STEP_LABEL: f"{rollout}-{work.step.position}-{work.step.attempt}"}


def rollout_mark(work: Work) -> dict[str, str]:
    """The label of every revision of this rollout."""
    return {ROLLOUT_LABEL: str(work.rollout.pk if work.rollout else 0)}


def foreign(work: Work, helm: Helm, newest: Revision | None, *, ours: bool) -> Outcome | None:
    """Hold where somebody else has upgraded, rolled back or removed the release since it was recorded."""
    record = backup_of(work)
    if record is None or ours:
        return None
    number = newest.number if newest else 0
    if number == record["revision"] or (newest and helm.is_marked(release_of(work), rollout_mark(work))):
        return None
    drift = Drift(f"helm/{release_of(work)}", "revision", "", record["revision"], number)
    return None if drift.args in work.accepted_drifts else hold("drift", **drift.args)


def untouched(work: Work, newest: Revision | None) -> bool:
    """Whether nobody has written a revision since the backup, or there is none of the release."""
    record = backup_of(work)
    return newest is None or (record is not None and newest.number == record["revision"])


def backup_of(work: Work) -> Json | None:
    """What was recorded of the release before anything changed; None where the backup was skipped."""
    found = same_service(work, "helm_backup")
    return found.before if found and found.before else None


def same_service(work: Work, kind: str) -> Step | None:
    """Return the step of a kind for the same service on the way forward."""
    found = [
        each
        for each in work.siblings
        if each.kind == kind and each.service_id == work.step.service_id and each.direction == "forward"
    ]
    return found[-1] if found else None


def pending(work: Work, newest: Revision) -> Outcome | None:
    """Wait where helm may still be at work; None once it must have been killed."""
    now = clock.now()
    since = work.step.observed.get("pending_since") or now.isoformat()
    waited = (now - datetime.fromisoformat(since)).total_seconds()
    if waited >= PENDING_SECONDS:
        return None
    args = {"revision": newest.number, "status": newest.status}
    return wait("helm_pending", seconds=POLL_SECONDS, pending_since=since, args=args)


def remembered_release(work: Work, *, revision: int, previous: int) -> Json:
    """Return what later steps compare the cluster with: each workload as it stands after the write."""
    written = {_key(each): _remembered(work, each) for each in work.step.params["workloads"]}
    images = {
        f"{key} {name}": image for key, each in written.items() for name, image in each["images"].items()
    }
    return {"revision": revision, "previous": previous, "workloads": written, "images": images}


def _remembered(work: Work, document: Json) -> Json:
    seen = work.cluster.workload(Reference(document["kind"], work.environment.namespace, document["name"]))
    names = document.get("containers") or seen.images
    return remembered(seen, {name: seen.images[name] for name in names if name in seen.images})


def _key(document: Json) -> str:
    return f"{document['kind']}/{document['name']}"
