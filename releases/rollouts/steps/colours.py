"""Which colour of a service is live and which is idle, found at the start.

Its Services' selectors say so, or, where both stand behind the same Services, which of them has pods. One
plan serves both directions: its steps say `colour: idle` or `colour: live`, and what that means is written
into them when it was found. Where it cannot be known nothing is changed (reference-systems.md 3 and 4;
protocols.md A6).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from portal.integrations.kubernetes.workloads import PLURALS, Reference, Workload
from releases.catalog import canaries
from releases.rollouts.models import Step
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Verdict, Work, done, failed
from releases.rollouts.steps.record_running import autoscaler

COLOURS = ("blue", "green")


class FindColours(StepKind):
    """Reads what tells the colours apart, and tells the steps that name a colour what to work on."""

    name = "find_colours"

    def plan(self, work: Work) -> Planned:
        """Find it for the dry run, whose steps are no rows: they learn it at once."""
        outcome = self.observe(work)
        for step, params in outcome.resolved:
            step.params = {**step.params, **params}
        return Planned(error=outcome.failure)

    def observe(self, work: Work) -> Outcome:
        """Find the live colour; refuse what the plan could not carry out."""
        by_pods = work.step.params.get("by") == canaries.PODS
        seen = _by_pods(work) if by_pods else _by_selectors(work)
        if isinstance(seen, Outcome):
            return seen
        live, before = seen
        found = {"live": live, "idle": next(each for each in COLOURS if each != live)}
        wrong = _unfit(work, found)
        if wrong is not None:
            return wrong
        outcome = done("colours_found", args=found)
        return Outcome(
            verdict=Verdict.DONE,
            observed=outcome.observed,
            before={**found, **before},
            resolved=tuple(resolved(work, found)),
        )


def _by_selectors(work: Work) -> tuple[str, Json] | Outcome:
    """Return the colour that the Services name, with what they say."""
    namespace, names = work.environment.namespace, work.step.params["services"]
    services = {name: work.cluster.read("services", namespace, name) for name in names}
    gone = sorted(f"service/{name}" for name, seen in services.items() if seen is None)
    if gone:
        return failed("missing", ", ".join(gone))
    selectors = {name: selector_of(seen) for name, seen in services.items() if seen is not None}
    live = live_colour(selectors, work.step.params["label"])
    if live is None:
        return failed("colours_unknown", args={"selectors": told(selectors, work.step.params["label"])})
    return live, {"selectors": selectors}


def _by_pods(work: Work) -> tuple[str, Json] | Outcome:
    """Return the colour that has pods, with the size of each."""
    workloads: Json = work.step.params["workloads"]
    sizes = {
        colour: work.listed_workload(
            Reference(document["kind"], work.environment.namespace, document["name"])
        ).replicas
        for colour, document in workloads.items()
    }
    live = standing_colour(sizes)
    if live is None:
        seen = ", ".join(f"{workloads[each]['name']}: {sizes[each]}" for each in sorted(sizes))
        return failed("colours_both", args={"sizes": seen})
    return live, {"sizes": sizes}


def standing_colour(sizes: Mapping[str, int]) -> str | None:
    """The one colour that has pods; None where both have some, or neither has.

    Args:
        sizes: replicas by colour.
    """
    having = [colour for colour, size in sizes.items() if size]
    return having[0] if len(having) == 1 else None


def colours_with_traffic(
    colours: Json, *, selectors: Mapping[str, Json], sizes: Mapping[str, int]
) -> set[str]:
    """The colour that is live by what was seen, both while they share the pods; none where it is not known.

    Args:
        colours: as the catalog says it: {"label", "services"} or {"by"}.
        selectors: by the names of Services; others than those of the colours do not matter.
        sizes: replicas by colour.
    """
    if colours.get("by") == canaries.PODS:
        return {colour for colour, size in sizes.items() if size}
    own = {name: selectors[name] for name in colours["services"] if name in selectors}
    live = live_colour(own, colours["label"])
    return {live} if live else set()


def live_colour(selectors: Mapping[str, Json], label: str) -> str | None:
    """The colour that every selector names; None where they name none, another, or not the same.

    Args:
        selectors: by the names of the Services.
        label: the one whose value is the colour.
    """
    named = {str(selector.get(label, "")) for selector in selectors.values()}
    colour = named.pop() if len(named) == 1 else ""
    return colour if colour in COLOURS else None


def selector_of(service: Json) -> Json:
    """The labels of the pods that get the traffic of a Service."""
    return (service.get("spec") or {}).get("selector") or {}


def told(selectors: Mapping[str, Json], label: str) -> str:
    """What each selector says of the colour, for people."""
    return ", ".join(f"{name}: {label}={selectors[name].get(label, '–')}" for name in sorted(selectors))


def resolved(work: Work, found: Mapping[str, str]) -> Iterable[tuple[Step, Json]]:
    """What the steps of this service that name a colour need to know."""
    workloads: Json = work.step.params["workloads"]
    for step in work.siblings:
        role = step.params.get("colour")
        if not role or step.service_id != work.step.service_id:
            continue
        colour = found[role]
        if step.kind == "switch_service":
            yield step, {"selector": {work.step.params["label"]: colour}}
        else:
            yield step, {"workload": workloads[colour], **_paired(step, workloads, found)}


def _paired(step: Step, workloads: Json, found: Mapping[str, str]) -> Json:
    """The names of both workloads, where a step of a canary in turns is about the share of each.

    Of the whole nothing is left to compare with: both are the one that has it.
    """
    live, idle = (str(workloads[found[role]]["name"]) for role in ("live", "idle"))
    whole = step.params.get("percent") == canaries.WHOLE
    names = {
        "share": {"stable": live, "canary": idle},
        "pair": {"stable": idle if whole else live, "canary": idle},
    }
    return {key: {**step.params[key], **own} for key, own in names.items() if key in step.params}


def _unfit(work: Work, found: Mapping[str, str]) -> Outcome | None:
    """What is wrong with the colours that the plan works on: mislabelled pods, a size that is not ours."""
    label, workloads = work.step.params.get("label"), work.step.params["workloads"]
    for role in sorted({str(each.params["colour"]) for each in _mine(work) if each.params.get("colour")}):
        document = workloads[found[role]]
        name = f"{document['kind'].lower()}/{document['name']}"
        seen = next(
            (each for each in work.collection(PLURALS[document["kind"]]) if _is(each, document)), None
        )
        if seen is None:
            return failed("missing", name)
        workload = Workload({"kind": document["kind"], **seen})
        if label and (workload.template["metadata"].get("labels") or {}).get(label) != found[role]:
            return failed("colour_mislabelled", args={"name": name, "label": f"{label}={found[role]}"})
        owner = autoscaler(work, workload) if _is_scaled(work, role) else None
        if owner is not None:
            return failed("colour_autoscaled", args={"name": name, "autoscaler": owner["name"]})
        ports = _host_ports(workload)
        if ports and _is_scaled(work, role):
            return failed("colour_fixed_ports", args={"name": name, "ports": ports})
    return None


def _mine(work: Work) -> list[Step]:
    return [each for each in work.siblings if each.service_id == work.step.service_id]


def _is(body: Json, document: Mapping[str, Any]) -> bool:
    return bool(body["metadata"]["name"] == document["name"])


def _is_scaled(work: Work, role: str) -> bool:
    """An autoscaler stands aside at 0 and lets nobody go below 1: a colour's size must be the plan's."""
    return any(each.kind == "scale" and each.params.get("colour") == role for each in _mine(work))


def _host_ports(workload: Workload) -> str:
    """Ports that a pod takes on its node, where the other colour's pods hold them already."""
    spec = workload.template["spec"]
    ports = [
        port.get("hostPort") for each in spec.get("containers") or [] for port in each.get("ports") or []
    ]
    return ", ".join(str(port) for port in ports if port)
