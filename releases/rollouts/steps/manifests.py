"""Applies the manifests of a service by server-side apply, under the portal's own name and never by force.

What another has written differently is a conflict that names them. The way back applies what the portal had
applied before, so that everything else of an object stays as it is, and deletes what was not there
(protocols.md, A5 "Ownership"; reference-systems.md 2).
"""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from portal.errors import PermanentError
from portal.integrations.kubernetes.manifests import (
    applied_by,
    essence,
    images_of,
    name_of,
    plural_of,
)
from portal.integrations.kubernetes.workloads import FIELD_MANAGER, PLURALS, Workload, changed_fields
from portal.masking import masked_change
from releases.catalog.manifests import manifests_of
from releases.rollouts.drift import Drift
from releases.rollouts.steps import git_owned, leftovers
from releases.rollouts.steps.endings import is_ending
from releases.rollouts.steps.kind import (
    ActingKind,
    Change,
    Found,
    Json,
    Outcome,
    Planned,
    StepKind,
    Verdict,
    Work,
    done,
    failed,
    hold,
    wait,
)
from releases.rollouts.steps.leftovers import read
from releases.rollouts.steps.record_running import autoscaler
from releases.rollouts.steps.set_image import remembered

MOST_CHARACTERS = 200
# What changes while it is compared is read again so often.
MOST_READS = 3


class RecordManifests(StepKind):
    """Before anything changes: which of the objects are there, and what the portal has applied to them.

    What earlier rollouts have applied and the folder no longer holds is recorded beside them.
    """

    name = leftovers.RECORD

    def observe(self, work: Work) -> Outcome:
        """Keep that with the step."""
        before: Json = {}
        for wanted in _wanted(work):
            before[name_of(wanted)] = _entry(wanted, read(work, wanted))
        left = {name_of(each): _entry(each, each) for each in leftovers.left_over(work, _wanted(work))}
        seen = {"objects": before, "left": left}
        return Outcome(verdict=Verdict.DONE, observed={"code": "recorded"}, before=seen)


class _Applying(ActingKind):
    """Brings each object to a configuration, one call an object; what is there already is not written."""

    said: ClassVar[str]

    @abstractmethod
    def configurations(self, work: Work) -> list[Json]:
        """Return what is applied."""

    @abstractmethod
    def surplus(self, work: Work) -> list[Json]:
        """Return what is deleted, as long as it is there."""

    def plan(self, work: Work) -> Planned:
        """Let the server say what would differ, without keeping it."""
        ready = self.prepare(work)
        if isinstance(ready, Outcome):
            return Planned(error=ready.failure)
        return Planned(changes=ready.changes if isinstance(ready, Change) else [])

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Leave out what is so already; an earlier start's work is found by that as well."""
        found = self._differing(work)
        if isinstance(found, Outcome):
            return found
        gone = [each for each in self.surplus(work) if not is_ending(each)]
        refusal = next(filter(None, (_refusal(work, _identity(each), each) for each in gone)), None)
        if refusal is not None:
            return refusal
        changes = [change for _wanted, each in found for change in each]
        changes += [_field(each, "object", name_of(each), "") for each in gone]
        if not changes:
            return Found(acted=_remembered(work, self.configurations(work)), observed={"code": self.said})
        return Change(changes=changes, payload=([wanted for wanted, _changes in found], gone))

    def act(self, work: Work, change: Change) -> Json:
        """Send one call for each object."""
        wanted, gone = change.payload
        for each in wanted:
            work.cluster.apply(plural_of(each), work.environment.namespace, each)
            work.beat()
        for each in gone:
            work.cluster.delete(plural_of(each), each)
            work.beat()
        work.listed.clear()
        return _remembered(work, self.configurations(work))

    def observe(self, work: Work) -> Outcome:
        """Read every object back: what is there is what was applied, and nothing else of it differs."""
        found = self._differing(work)
        if isinstance(found, Outcome):
            return found
        if found:
            differing = found[0][1][0]
            drift = Drift(
                differing["object"], differing["field"], "", differing["after"], differing["before"]
            )
            return hold("drift", **drift.args)
        ending = [name_of(each) for each in self.surplus(work) if is_ending(each)]
        if ending:
            return wait("objects_end", args={"names": ", ".join(ending)})
        return done(self.said, args={"count": len(self.configurations(work))})

    def _differing(self, work: Work) -> list[tuple[Json, list[Json]]] | Outcome:
        """Each object that is not as it is wanted, with what differs; or what stands against applying it."""
        found: list[tuple[Json, list[Json]]] = []
        for wanted in self.configurations(work):
            seen = read(work, wanted)
            refusal = _refusal(work, wanted, seen)
            if refusal is not None:
                return refusal
            changes = _compared(work, wanted, seen)
            if changes:
                found.append((wanted, changes))
        return found


def _compared(work: Work, wanted: Json, seen: Json | None) -> list[Json]:
    """Return what an apply would change of what is there, and not what a controller wrote in between."""
    for _time in range(MOST_READS):
        after = work.cluster.apply(plural_of(wanted), work.environment.namespace, wanted, dry_run=True)
        changes = _changes(wanted, seen, after)
        newer = read(work, wanted) if changes else seen
        if _version(newer) == _version(seen):
            break
        seen = newer
    return changes


def _version(body: Json | None) -> str:
    return str(((body or {}).get("metadata") or {}).get("resourceVersion", ""))


class ApplyManifests(_Applying):
    """Applies the folder that the catalog names, as it was approved."""

    name = "apply_manifests"
    said = "manifests_applied"

    def configurations(self, work: Work) -> list[Json]:
        """The folder's objects."""
        return _wanted(work)

    def surplus(self, work: Work) -> list[Json]:
        """What has left the folder, where the plan prunes it and it is the portal's alone."""
        if not work.step.params.get("prune"):
            return []
        return [each for each in _left(work) if leftovers.is_removable(work, each)]

    def plan(self, work: Work) -> Planned:
        """Name what has left the folder and stays."""
        planned = super().plan(work)
        pruned = {name_of(each) for each in self.surplus(work)}
        left = [name for each in _left(work) if (name := name_of(each)) not in pruned]
        code = "manifests_kept" if work.step.params.get("prune") else "manifests_left"
        note = {"code": code, "args": {"names": ", ".join(left)}}
        return replace(planned, notes=[note]) if left else planned


class RestoreManifests(_Applying):
    """Undoes an apply_manifests step from what was recorded before it."""

    name = "restore_manifests"
    said = "manifests_restored"

    def configurations(self, work: Work) -> list[Json]:
        """What the portal had applied before; what somebody else has deleted since stays so."""
        there = [each for each in _recorded(work) if each["was"] and read(work, each["object"])]
        return [each["was"]["applied"] for each in [*there, *_pruned(work)]]

    def surplus(self, work: Work) -> list[Json]:
        """What this rollout has made."""
        made = [read(work, each["object"]) for each in _recorded(work) if not each["was"]]
        return [each for each in made if each is not None]


def _wanted(work: Work) -> list[Json]:
    """The objects of the folder as it was approved; none where the environment has no folder.

    Raises:
        PermanentError: the folder can't be read, or is another one than was approved.
    """
    found = manifests_of(work.step.params.get("manifests") or {}, work.environment.name)
    if found is None:
        return []
    sealed = _sealed_digest(work)
    if sealed and sealed != found.digest:
        raise PermanentError(found.folder, code="manifests_changed")
    return list(found.objects)


def _sealed_digest(work: Work) -> str:
    """What the approval says of the folder; empty for a draft."""
    service = work.step.service.name if work.step.service else ""
    items = (work.release.content or {}).get("items") or []
    item: Json = next((each for each in items if each.get("service") == service), {})
    return str((item.get("manifests") or {}).get("digest") or "")


def _record(work: Work) -> Json | None:
    """What was recorded of the service's objects; None while a plan is only previewed."""
    steps = [each for each in work.siblings if each.kind == RecordManifests.name and each.before]
    own: list[Json] = [each.before for each in steps if each.service_id == work.step.service_id]
    return next(iter(own), None)


def _recorded(work: Work) -> list[Json]:
    record = _record(work)
    if record is None:
        raise PermanentError(code="nothing_recorded")
    return list(record["objects"].values())


def _left(work: Work) -> list[Json]:
    """What has left the folder; in a rollout what was recorded of it, so that nothing else is deleted."""
    left, record = leftovers.left_over(work, _wanted(work)), _record(work)
    return [each for each in left if record is None or name_of(each) in record.get("left", {})]


def _pruned(work: Work) -> list[Json]:
    """What this rollout has deleted, or was about to, because it had left the folder; as it was recorded."""
    steps = [each for each in work.siblings if each.kind == ApplyManifests.name]
    own = [each for each in steps if each.service_id == work.step.service_id]
    changes = [change for each in own for change in (each.intent or {}).get("changes", [])]
    names = {each["object"] for each in changes if (each["field"], each["after"]) == ("object", "")}
    left = (_record(work) or {}).get("left", {})
    return [entry for name, entry in left.items() if name in names]


def _entry(wanted: Json, seen: Json | None) -> Json:
    own = {"uid": seen["metadata"]["uid"], "applied": applied_by(seen, FIELD_MANAGER)} if seen else None
    return {"object": _identity(wanted), "was": own}


def _identity(wanted: Json) -> Json:
    return {
        "apiVersion": wanted["apiVersion"],
        "kind": wanted["kind"],
        "metadata": {"name": wanted["metadata"]["name"]},
    }


def _refusal(work: Work, wanted: Json, seen: Json | None) -> Outcome | None:
    """Why an object may not be applied: others decide what it says (product.md, "What a rollout can do")."""
    args = {"object": name_of(wanted)}
    if wanted["kind"] not in PLURALS:
        return None
    if set(images_of(wanted)) & _released(work, wanted):
        return failed("manifest_names_image", args=args)
    if seen is None:
        return None
    workload = Workload(seen)
    if "replicas" in (wanted.get("spec") or {}) and autoscaler(work, workload) is not None:
        return failed("manifest_names_replicas", args=args)
    return git_owned.refused(work, workload)


def _released(work: Work, wanted: Json) -> set[str]:
    """The containers of a workload whose image the release sets."""
    specs = [item.service.spec for item in work.items if item.service_id == work.step.service_id]
    named = [each for spec in specs for each in spec.get("workloads") or []]
    own = [
        each for each in named if (each["kind"], each["name"]) == (wanted["kind"], wanted["metadata"]["name"])
    ]
    return {name for each in own for name in each.get("containers") or []}


def _changes(wanted: Json, seen: Json | None, after: Json) -> list[Json]:
    if seen is None:
        return [_field(wanted, "object", "", name_of(wanted))]
    kinds = {key: wanted[key] for key in ("apiVersion", "kind")}
    fields = changed_fields(essence(seen), essence({**after, **kinds}))
    if not fields and applied_by({**after, **kinds}, FIELD_MANAGER) != applied_by(seen, FIELD_MANAGER):
        # Nothing differs yet; from now on the portal answers for these fields as well.
        return [_field(wanted, "managedFields", "", FIELD_MANAGER)]
    return [_field(wanted, name, before, value) for name, before, value in fields]


def _field(wanted: Json, field: str, before: Any, after: Any) -> Json:
    was, becomes = masked_change(field, before, after)
    return {"object": name_of(wanted), "field": field, "before": _short(was), "after": _short(becomes)}


def _short(value: Any) -> str:
    return "" if value is None else str(value)[:MOST_CHARACTERS]


def _remembered(work: Work, configurations: Iterable[Json]) -> Json:
    """What later steps compare the service's workloads with: the portal itself has changed them."""
    written = [each for each in configurations if each["kind"] in PLURALS]
    bodies = {f"{each['kind']}/{each['metadata']['name']}": read(work, each) for each in written}
    found = {name: Workload(body) for name, body in bodies.items() if body is not None}
    return {"workloads": {name: remembered(each, each.images) for name, each in found.items()}}
