"""Leads a share of the traffic to a canary, by the weights of a Gateway API HTTPRoute; and the way back.

Weights are proportional, 1 where none is written, 0 for none (protocols.md, A6). The route's other fields are
somebody else's and stay as they are.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from portal.errors import PermanentError
from portal.integrations.kubernetes.workloads import last_manager_of
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

ROUTES = "httproutes"
POLL_SECONDS = 1.0
WHOLE = 100
OWNED_BY = "kubernetes.io/service-name"
# By rule: its name, or its place among those that lead to both where it has none; for each of the two
# Services its weight.
Weights = dict[str, dict[str, int]]


class RecordWeights(StepKind):
    """Before anything changes: the weights as they are, so that there is a way back to exactly them."""

    name = "record_weights"

    def observe(self, work: Work) -> Outcome:
        """Keep the weights with the step."""
        seen = _read(work)
        if seen is None:
            return failed("missing", _name(work))
        weights = weights_of(seen, _route(work))
        if not weights:
            return failed("route_without_backends", args=_route(work))
        before = {"uid": seen["metadata"]["uid"], "weights": weights}
        return Outcome(verdict=Verdict.DONE, observed={"code": "recorded"}, before=before)


class _Weighing(ActingKind):
    """Brings the weights of both Services to what is wanted, in one conditional patch; `reached` says so."""

    reached: ClassVar[str]

    @abstractmethod
    def wanted(self, work: Work, present: Weights) -> Weights:
        """Return the weight that each of the two Services shall have, by rule, in every rule there is."""

    def plan(self, work: Work) -> Planned:
        """Let the server check the patch without keeping it; nobody has recorded anything yet."""
        seen = _read(work)
        if seen is None:
            return Planned(error={"code": "missing", "message": _name(work)})
        weights = weights_of(seen, _route(work))
        if not weights:
            return Planned(error={"code": "route_without_backends", "args": _route(work)})
        if work.step.params.get("recorded"):
            return Planned()
        wanted = _shared(weights, work)
        work.cluster.change(ROUTES, seen, _patch(seen, wanted, work), dry_run=True)
        return Planned(changes=_differences(work, weights, wanted))

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Hold where the weights are neither as they were recorded nor as this rollout wrote them."""
        seen = _read(work)
        if seen is None:
            return hold("drift", **deleted(_name(work)).args)
        present = weights_of(seen, _route(work))
        if not present:
            return failed("route_without_backends", args=_route(work))
        wanted = self.wanted(work, present)
        if present == wanted:
            return Found(acted=_remembered(work, wanted), observed={"code": self.reached})
        if present not in _expected(work):
            drift = _drift(work, seen, present)
            if drift.args not in work.accepted_drifts:
                return hold("drift", **drift.args)
        changes = _differences(work, present, wanted)
        return self.hindrance(work) or Change(changes=changes, payload=(seen, wanted))

    @abstractmethod
    def hindrance(self, work: Work) -> Outcome | None:
        """What forbids the write now."""

    def act(self, work: Work, change: Change) -> Json:
        """Send one patch."""
        seen, wanted = change.payload
        work.cluster.change(ROUTES, seen, _patch(seen, wanted, work))
        return _remembered(work, wanted)

    def observe(self, work: Work) -> Outcome:
        """Wait until every gateway that reports on the route has taken it up."""
        seen = _read(work)
        if seen is None:
            return hold("drift", **deleted(_name(work)).args)
        refused = _refused(seen)
        if refused:
            return failed("route_refused", refused)
        if not _taken_up(seen):
            return wait("waits_gateway", seconds=POLL_SECONDS, args={"name": _name(work)})
        weights = weights_of(seen, _route(work))
        return done(self.reached, weight=share_of(weights, _route(work)))


class SetWeight(_Weighing):
    """Gives the canary its share in percent, and the stable Service the rest; `recorded` gives both back."""

    name = "set_weight"
    reached = "weighted"

    def wanted(self, work: Work, present: Weights) -> Weights:
        """The share of the plan, or what was recorded at the start."""
        is_back = work.step.params.get("recorded")
        return _as_recorded(work, present) if is_back else _shared(present, work)

    def hindrance(self, work: Work) -> Outcome | None:
        """Traffic is never led to where no pod is ready."""
        service = _route(work)["canary" if work.step.params.get("percent") else "stable"]
        return None if _ready(work, service) else failed("no_ready_pods", args={"names": service})


class RestoreWeights(_Weighing):
    """Undoes what the rollout wrote: the recorded weights of both."""

    name = "restore_weights"
    reached = "switched_back"

    def wanted(self, work: Work, present: Weights) -> Weights:
        """What was recorded."""
        return _as_recorded(work, present)

    def hindrance(self, work: Work) -> Outcome | None:
        """Nor is it taken from pods that are ready; where none is there either, nothing is lost."""
        stable, canary = (_route(work)[key] for key in ("stable", "canary"))
        is_lost = not _ready(work, stable) and _ready(work, canary)
        return failed("no_ready_pods", args={"names": stable}) if is_lost else None


def weights_of(seen: Json, route: Mapping[str, Any]) -> Weights:
    """Return the weights of the two Services in the rules that lead to both, or in the one that is named."""
    rules = (seen.get("spec") or {}).get("rules") or []
    return {key: _both(rules[place], route) for place, key in _leading(rules, route).items()}


def share_of(weights: Weights, route: Mapping[str, Any]) -> int:
    """The canary's share in percent, by the first rule."""
    first = next(iter(weights.values()), {})
    whole = sum(first.values())
    return round(first.get(str(route["canary"]), 0) * WHOLE / whole) if whole else 0


def _both(rule: Json, route: Mapping[str, Any]) -> dict[str, int]:
    """The weights of those of the two Services to which a rule leads."""
    named = {route["stable"], route["canary"]}
    return {
        each["name"]: int(each.get("weight", 1))
        for each in rule.get("backendRefs") or []
        if each["name"] in named
    }


def _leading(rules: Sequence[Json], route: Mapping[str, Any]) -> dict[int, str]:
    """The rules of the canary by their places, each with its key; what others put beside them is theirs."""
    places = [
        place
        for place, rule in enumerate(rules)
        if len(_both(rule, route)) == 2 and route.get("rule") in {None, "", rule.get("name")}
    ]
    return {place: str(rules[place].get("name") or f"#{at}") for at, place in enumerate(places)}


def _route(work: Work) -> Json:
    route: Json = work.step.params["route"]
    return route


def _name(work: Work) -> str:
    return f"httproute/{_route(work)['name']}"


def _read(work: Work) -> Json | None:
    return work.cluster.read(ROUTES, work.environment.namespace, _route(work)["name"])


def _shared(weights: Weights, work: Work) -> Weights:
    route, percent = _route(work), int(work.step.params["percent"])
    both = {str(route["stable"]): WHOLE - percent, str(route["canary"]): percent}
    return {rule: dict(both) for rule in weights}


def _same(work: Work, kind: str) -> list[Step]:
    """The steps of a kind for the same route."""
    return [each for each in work.siblings if each.kind == kind and each.params["route"] == _route(work)]


def _recorded(work: Work) -> Weights:
    """The weights at the start.

    Raises:
        PermanentError: none were recorded.
    """
    found = [each.before["weights"] for each in _same(work, RecordWeights.name) if each.before]
    if not found:
        raise PermanentError(code="nothing_recorded")
    weights: Weights = found[0]
    return weights


def _as_recorded(work: Work, present: Weights) -> Weights:
    """The weights at the start; a rule that leads to both since then gets those of the first."""
    recorded = _recorded(work)
    first = next(iter(recorded.values()))
    return {rule: recorded.get(rule, first) for rule in present}


def _expected(work: Work) -> list[Weights]:
    """What may be there before a write: as last written or recorded, or by a write not recorded yet."""
    steps = _same(work, SetWeight.name)
    written = [each.acted["weights"] for each in steps if each.acted]
    begun = [each for each in steps if each.intent is not None and not each.acted]
    recorded = _recorded(work)
    unrecorded = [_shared(recorded, _of(work, each)) for each in begun if not each.params.get("recorded")]
    return [written[-1] if written else recorded, *unrecorded]


def _of(work: Work, step: Step) -> Work:
    return Work(step=step, release=work.release, environment=work.environment, items=work.items)


def _drift(work: Work, seen: Json, present: Weights) -> Drift:
    manager = last_manager_of(seen, "rules")
    return Drift(_name(work), "spec.rules", manager, _text(_expected(work)[0]), _text(present))


def _text(weights: Weights) -> str:
    rules = (", ".join(f"{name}={weight}" for name, weight in each.items()) for each in weights.values())
    return "; ".join(rules)


def _differences(work: Work, present: Weights, wanted: Weights) -> list[Json]:
    return [
        {
            "object": _name(work),
            "field": f"weight[{name}]" if len(wanted) == 1 else f"{rule} weight[{name}]",
            "before": str(present.get(rule, {}).get(name, "")),
            "after": str(weight),
        }
        for rule, both in wanted.items()
        for name, weight in both.items()
    ]


def _patch(seen: Json, wanted: Weights, work: Work) -> Json:
    """The rules as they were read, with other weights: the API takes this list as a whole."""
    rules, keys = [], _leading(seen["spec"]["rules"], _route(work))
    for place, rule in enumerate(seen["spec"]["rules"]):
        weights = wanted.get(keys.get(place, ""), {})
        backends = [
            {**each, "weight": weights[each["name"]]} if each["name"] in weights else each
            for each in rule.get("backendRefs") or []
        ]
        rules.append({**rule, **({"backendRefs": backends} if backends else {})})
    return {"spec": {"rules": rules}, "metadata": {"annotations": work.mark}}


def _remembered(work: Work, weights: Weights) -> Json:
    return {"weights": weights, "route": _route(work)["name"]}


def _conditions(seen: Json) -> list[tuple[int, Json]]:
    """What gateways say of the route: (generation, condition)."""
    parents = (seen.get("status") or {}).get("parents") or []
    found = [each for parent in parents for each in parent.get("conditions") or []]
    return [(int(each.get("observedGeneration") or 0), each) for each in found]


def _taken_up(seen: Json) -> bool:
    """Where no gateway reports, nothing more is known than that the API has it."""
    generation = int(seen["metadata"].get("generation") or 0)
    return all(observed >= generation for observed, _condition in _conditions(seen))


def _refused(seen: Json) -> str:
    """The gateway's own words where it does not take the route as it is now."""
    generation = int(seen["metadata"].get("generation") or 0)
    for observed, each in _conditions(seen):
        wrong = each.get("type") in {"Accepted", "ResolvedRefs"} and each.get("status") == "False"
        if wrong and observed >= generation:
            return f"{each.get('reason', '')}: {each.get('message', '')}"
    return ""


def _ready(work: Work, service: str) -> bool:
    labels = {OWNED_BY: service}
    slices = work.cluster.find("endpointslices", work.environment.namespace, labels=labels).items
    ends = [end for each in slices for end in each.get("endpoints") or []]
    return any((end.get("conditions") or {}).get("ready") for end in ends)
