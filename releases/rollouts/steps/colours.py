"""Which colour of a service is live and which is idle, found at the start from its Services' selectors.

One plan serves both directions: its steps say `colour: idle` or `colour: live`, and what that means is
written into them when it was found. Where it cannot be known nothing is changed (reference-systems.md, 3, 4).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from portal.integrations.kubernetes.workloads import PLURALS, Workload
from releases.rollouts.models import Step
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Verdict, Work, done, failed
from releases.rollouts.steps.record_running import autoscaler

COLOURS = ("blue", "green")


class FindColours(StepKind):
    """Reads the selectors of the Services, and tells the steps that name a colour what to work on."""

    name = "find_colours"

    def plan(self, work: Work) -> Planned:
        """Find it for the dry run, whose steps are no rows: they learn it at once."""
        outcome = self.observe(work)
        for step, params in outcome.resolved:
            step.params = {**step.params, **params}
        return Planned(error=outcome.failure)

    def observe(self, work: Work) -> Outcome:
        """Find the live colour; refuse what the plan could not carry out."""
        services = {
            name: work.cluster.read("services", work.environment.namespace, name) for name in _names(work)
        }
        gone = sorted(f"service/{name}" for name, seen in services.items() if seen is None)
        if gone:
            return failed("missing", ", ".join(gone))
        selectors = {name: selector_of(seen) for name, seen in services.items() if seen is not None}
        live = live_colour(selectors, work.step.params["label"])
        if live is None:
            return failed("colours_unknown", args={"selectors": told(selectors, work.step.params["label"])})
        found = {"live": live, "idle": next(each for each in COLOURS if each != live)}
        wrong = _unfit(work, found)
        if wrong is not None:
            return wrong
        outcome = done("colours_found", args=found)
        return Outcome(
            verdict=Verdict.DONE,
            observed=outcome.observed,
            before={**found, "selectors": selectors},
            resolved=tuple(resolved(work, found)),
        )


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
            yield step, {"workload": workloads[colour]}


def _names(work: Work) -> list[str]:
    return list(work.step.params["services"])


def _unfit(work: Work, found: Mapping[str, str]) -> Outcome | None:
    """What is wrong with the colours that the plan works on: mislabelled pods, a size that is not ours."""
    label, workloads = work.step.params["label"], work.step.params["workloads"]
    for role in sorted({str(each.params["colour"]) for each in _mine(work) if each.params.get("colour")}):
        document = workloads[found[role]]
        name = f"{document['kind'].lower()}/{document['name']}"
        seen = next(
            (each for each in work.collection(PLURALS[document["kind"]]) if _is(each, document)), None
        )
        if seen is None:
            return failed("missing", name)
        workload = Workload({"kind": document["kind"], **seen})
        if (workload.template["metadata"].get("labels") or {}).get(label) != found[role]:
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
