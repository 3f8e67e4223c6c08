"""Objects that the portal has applied from a service's folder, and that no folder holds any more."""

from collections.abc import Iterable

from portal.errors import PermanentError
from portal.integrations.kubernetes.manifests import is_applied_by, name_of, others_of, plural_of
from portal.integrations.kubernetes.workloads import FIELD_MANAGER
from releases.catalog.manifests import manifests_of
from releases.rollouts.models import Step
from releases.rollouts.states import StepState
from releases.rollouts.steps.kind import Json, Work

RECORD = "record_manifests"


def left_over(work: Work, wanted: Iterable[Json]) -> list[Json]:
    """Return those objects as they are now.

    Args:
        wanted: what the service's folder holds now.
    """
    known = {name_of(each): each for each in known_objects(work)}
    gone = known.keys() - {name_of(each) for each in wanted}
    # Another service may have taken them over.
    gone -= _held_by_others(work) if gone else set()
    seen = [read(work, known[name]) for name in sorted(gone)]
    return [each for each in seen if each is not None and is_applied_by(each, FIELD_MANAGER)]


def is_removable(work: Work, seen: Json) -> bool:
    """Whether an object is the portal's alone: nobody else has written it, and no service runs in it."""
    specs = [service.spec for service in work.environment.services.all()]
    named = [each for spec in specs for each in spec.get("workloads") or []]
    is_named = any(
        (each.get("kind", "Deployment"), each["name"]) == (seen["kind"], seen["metadata"]["name"])
        for each in named
    )
    return not is_named and not others_of(seen, FIELD_MANAGER)


def known_objects(work: Work) -> list[Json]:
    """Return what the last rollout before this one knew of: what it applied, and what was left by then."""
    records = Step.objects.filter(kind=RECORD, service=work.step.service, state=StepState.SUCCEEDED)
    earlier = records.filter(rollout__environment=work.environment).exclude(rollout=work.rollout)
    last = earlier.order_by("-pk").first()
    before = last.before if last else {}
    return [each["object"] for part in ("objects", "left") for each in before.get(part, {}).values()]


def read(work: Work, wanted: Json) -> Json | None:
    """Read an object; a single one does not always name its kind, as it stands in its path."""
    seen = work.cluster.read(plural_of(wanted), work.environment.namespace, wanted["metadata"]["name"])
    return None if seen is None else {**seen, "apiVersion": wanted["apiVersion"], "kind": wanted["kind"]}


def _held_by_others(work: Work) -> set[str]:
    """The objects of the other services' folders; one that cannot be read may hold any."""
    others = work.environment.services.exclude(name=work.step.service.name if work.step.service else "")
    found: set[str] = set()
    for each in others:
        try:
            folder = manifests_of(each.spec.get("manifests") or {}, work.environment.name)
        except PermanentError:
            return {name_of(known) for known in known_objects(work)}
        found |= {name_of(held) for held in folder.objects} if folder else set()
    return found
