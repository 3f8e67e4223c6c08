"""Leads the traffic of Kubernetes Services to other pods, by their selectors; and the way back.

The switch is atomic at the API, not in the data plane: what follows is read from the EndpointSlices
(protocols.md, A6).
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from portal.errors import PermanentError
from portal.integrations.kubernetes.rollout_status import condition
from portal.integrations.kubernetes.workloads import last_manager_of, pods_with
from releases.rollouts.drift import Drift, deleted
from releases.rollouts.models import Step
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

POLL_SECONDS = 1.0
OWNED_BY = "kubernetes.io/service-name"


class RecordServices(StepKind):
    """Before anything changes: the selectors as they are, so that there is a way back to exactly them."""

    name = "record_services"

    def observe(self, work: Work) -> Outcome:
        """Keep the selectors with the step."""
        found = {
            name: work.cluster.read("services", work.environment.namespace, name) for name in _names(work)
        }
        gone = sorted(name for name, seen in found.items() if seen is None)
        if gone:
            return failed("missing", ", ".join(f"service/{name}" for name in gone))
        before = {name: _recorded(seen) for name, seen in found.items() if seen is not None}
        return Outcome(verdict=Verdict.DONE, observed={"code": "recorded"}, before=before)


class _Switching(ActingKind):
    """Brings every selector to what is wanted of it, one conditional patch a Service; `reached` says so."""

    reached: ClassVar[str]

    @abstractmethod
    def wanted(self, work: Work) -> dict[str, Json]:
        """Return the whole selector that each Service shall have."""

    def plan(self, work: Work) -> Planned:
        """Say what would change; nobody has recorded anything yet."""
        namespace = work.environment.namespace
        found = {name: work.cluster.read("services", namespace, name) for name in _names(work)}
        gone = sorted(name for name, seen in found.items() if seen is None)
        if gone:
            return Planned(
                error={"code": "missing", "message": ", ".join(f"service/{each}" for each in gone)}
            )
        added = work.step.params.get("selector") or {}
        changes = [
            change
            for seen in found.values()
            if seen is not None
            for change in _differences(seen, {**_selector(seen), **added})
        ]
        return Planned(changes=changes)

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Hold where a selector is neither as it was recorded nor as it is wanted."""
        wanted, patches, changes = self.wanted(work), [], []
        present: dict[str, Json] = {}
        for name, selector in wanted.items():
            seen = work.cluster.read("services", work.environment.namespace, name)
            if seen is None:
                return hold("drift", **deleted(f"service/{name}").args)
            present[name] = _selector(seen)
            differing = _differences(seen, selector)
            drift = self.foreign(work, seen) if differing else None
            if drift is not None and drift.args not in work.accepted_drifts:
                return hold("drift", **drift.args)
            if differing:
                patches.append((seen, _patch(seen, selector)))
            changes += differing
        if not patches:
            return Found(acted={"selectors": wanted}, observed={"code": self.reached})
        empty = self.empty(work, wanted, present)
        if empty:
            return failed("no_ready_pods", args={"names": ", ".join(empty)})
        return Change(changes=changes, payload=(wanted, patches))

    @abstractmethod
    def empty(self, work: Work, wanted: dict[str, Json], present: dict[str, Json]) -> list[str]:
        """Return the Services whose traffic would go to where no pod is ready, which forbids it now."""

    def foreign(self, work: Work, seen: Json) -> Drift | None:
        """A selector that somebody else has changed."""
        expected = self.expected(work, seen["metadata"]["name"])
        found = _selector(seen)
        if found in expected:
            return None
        name = f"service/{seen['metadata']['name']}"
        manager = last_manager_of(seen, "selector")
        return Drift(name, "spec.selector", manager, _text(expected[0]), _text(found))

    def expected(self, work: Work, name: str) -> list[Json]:
        """The selectors that a Service may have before the write: as recorded, or as written since."""
        return [_base(work, name)]

    def act(self, work: Work, change: Change) -> Json:
        """Send a patch for each Service."""
        wanted, patches = change.payload
        for seen, body in patches:
            work.beat()
            work.cluster.change("services", seen, {**body, "metadata": {"annotations": work.mark}})
        return {"selectors": wanted}

    def observe(self, work: Work) -> Outcome:
        """Wait until every address of the Services is a pod that is meant, and one at least is ready."""
        selectors: dict[str, Json] = (work.step.acted or {})["selectors"]
        behind = [name for name, selector in selectors.items() if not _follows(work, name, selector)]
        if behind:
            return wait("waits_endpoints", seconds=POLL_SECONDS, args={"names": ", ".join(behind)})
        return done(self.reached, count=len(selectors))


class SwitchService(_Switching):
    """Puts the plan's labels into the selectors of its Services."""

    name = "switch_service"
    reached = "switched"

    def wanted(self, work: Work) -> dict[str, Json]:
        """The selectors with the plan's labels in them."""
        return {name: {**_base(work, name), **work.step.params["selector"]} for name in _names(work)}

    def empty(self, work: Work, wanted: dict[str, Json], present: dict[str, Json]) -> list[str]:  # noqa: ARG002
        """Traffic is never led to where no pod is ready."""
        return _without_pods(work, wanted)


class RestoreServices(_Switching):
    """Undoes a switch: the recorded selectors as a whole."""

    name = "restore_services"
    reached = "switched_back"

    def wanted(self, work: Work) -> dict[str, Json]:
        """What was recorded."""
        return {name: _recorded_of(work, name) for name in _names(work)}

    def empty(self, work: Work, wanted: dict[str, Json], present: dict[str, Json]) -> list[str]:
        """Nor is it taken from pods that are ready; where none is there either, nothing is lost."""
        nothing_to_lose = _without_pods(work, present)
        return [name for name in _without_pods(work, wanted) if name not in nothing_to_lose]

    def expected(self, work: Work, name: str) -> list[Json]:
        """What the switch wrote, whether or not its act was recorded, and what it had not come to."""
        base = _base(work, name)
        return [base, {**base, **work.step.params["selector"]}]


def _names(work: Work) -> list[str]:
    return list(work.step.params["services"])


def _same(work: Work, kind: str) -> list[Step]:
    """The steps of a kind for the same Services."""
    services = work.step.params["services"]
    return [each for each in work.siblings if each.kind == kind and each.params["services"] == services]


def _recorded_of(work: Work, name: str) -> Json:
    """The selector that was recorded at the start.

    Raises:
        PermanentError: none was.
    """
    found = [each.before for each in _same(work, RecordServices.name) if each.before]
    before: Json = found[0] if found else {}
    if name not in before:
        raise PermanentError(code="nothing_recorded")
    selector: Json = before[name]["selector"]
    return selector


def _base(work: Work, name: str) -> Json:
    """The selector as this rollout last wrote it, else as recorded."""
    written = [each.acted["selectors"][name] for each in _same(work, SwitchService.name) if each.acted]
    return written[-1] if written else _recorded_of(work, name)


def _recorded(seen: Json) -> Json:
    return {"uid": seen["metadata"]["uid"], "selector": _selector(seen)}


def _selector(seen: Json) -> Json:
    return seen["spec"].get("selector") or {}


def _differences(seen: Json, wanted: Json) -> list[Json]:
    found = _selector(seen)
    return [
        {
            "object": f"service/{seen['metadata']['name']}",
            "field": f"selector.{key}",
            "before": found.get(key, ""),
            "after": wanted.get(key, ""),
        }
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    ]


def _patch(seen: Json, wanted: Json) -> Json:
    """A merge patch: what is to go is named with nothing."""
    gone = dict.fromkeys(set(_selector(seen)) - set(wanted))
    return {"spec": {"selector": {**gone, **wanted}}}


def _follows(work: Work, name: str, selector: Json) -> bool:
    labels = {OWNED_BY: name}
    slices = work.cluster.find("endpointslices", work.environment.namespace, labels=labels).items
    ends = [end for each in slices for end in each.get("endpoints") or []]
    meant = {pod["metadata"]["uid"] for pod in pods_with(selector, work.collection("pods"))}
    uids = {str((end.get("targetRef") or {}).get("uid")) for end in ends}
    ready = any((end.get("conditions") or {}).get("ready") for end in ends)
    return ready and uids <= meant


def _without_pods(work: Work, selectors: Mapping[str, Json]) -> list[str]:
    """Return the Services that have no ready pod by these selectors."""
    pods = work.collection("pods")
    return [name for name, selector in selectors.items() if not any(map(_ready, pods_with(selector, pods)))]


def _ready(pod: Json) -> bool:
    ends = pod["metadata"].get("deletionTimestamp")
    return not ends and condition(pod.get("status") or {}, "Ready").get("status") == "True"


def _text(selector: Json) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
