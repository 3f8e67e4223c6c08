"""Turns what a person asks of a running service into a composition: what runs stays, and the steps follow."""

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from portal.actors import Actor
from portal.errors import Conflict, Invalid
from portal.integrations.kubernetes.amounts import quantity
from portal.integrations.kubernetes.workloads import DAEMON_SET
from releases import proposal
from releases.catalog import canaries
from releases.catalog.models import Environment, Service
from releases.catalog.schedule_checks import restores_of
from releases.content import FACTS
from releases.operating import OperationKind, sentence
from releases.operations.composition import ComposedItem, Composition, read_grade, read_incident
from releases.operations.fields import Faults
from releases.operations.locking import require_compose

MOST_REPLICAS = 1_000
RESOURCES = ("cpu", "memory")
AMOUNT = re.compile(r"\d{1,15}(\.\d{1,3})?(m|[kMGTPE]|[KMGTPE]i)?", re.ASCII)
OF_EVERY = ("kind", "service", "grade", "grade_reason", "incident")
FIELDS: dict[str, tuple[str, ...]] = {
    OperationKind.RESTART: ("workload",),
    OperationKind.SCALE: ("workload", "replicas", "most"),
    OperationKind.RESOURCES: ("workload", "container", "requests", "limits"),
    OperationKind.JOB: ("job",),
}


def compose_operation(
    service: Service, environment: Environment, data: object, *, actor: Actor
) -> Composition:
    """Read and check what is asked for; the item of the release is what runs now.

    Raises:
        Invalid: names every wrong field.
        NotAllowed: the person may not compose releases of the service.
        Conflict: as `composed`.
    """
    require_compose(actor, [service])
    if not isinstance(data, Mapping):
        raise Invalid(_("An object is expected."))
    faults = Faults()
    operation = _operation(service, data, faults)
    grade, incident = read_grade(data.get("grade"), faults), read_incident(data.get("incident"), faults)
    reason = faults.text("grade_reason", data.get("grade_reason"), most=2000, lines=True)
    if faults.found:
        raise Invalid(missing=faults.found)
    return composed(operation, service, environment, grade=grade, grade_reason=reason, incident=incident)


def composed(
    operation: Mapping[str, Any],
    service: Service,
    environment: Environment,
    *,
    grade: str | None = None,
    grade_reason: str = "",
    incident: Mapping[str, str] | None = None,
) -> Composition:
    """Compose an operation that has been checked; the item of the release is what runs now.

    Raises:
        Conflict: `running_unknown`, it is not known what runs; `colour_rests`, what rests would get traffic.
    """
    _require_awake(operation, service, environment)
    said = sentence(operation)
    return Composition(
        title=f"{said} ({environment.name})"[:200],
        environment=environment,
        items=(as_it_runs(service, environment),),
        changes=(),
        facts=dict.fromkeys(FACTS, False),
        database_changes=(),
        grade=grade,
        grade_reason=grade_reason,
        incident=incident,
        target_at=None,
        plan=None,
        announcement="",
        operation=operation,
    )


def as_it_runs(service: Service, environment: Environment) -> ComposedItem:
    """The item of an operation: what was last seen to run, by the digests that the nodes report.

    Raises:
        Conflict: `running_unknown`, nothing was seen yet.
    """
    seen = proposal.running_of(service, environment)
    digests = seen.get("digests") or []
    if not digests:
        text = _(
            "What runs of {service} in {environment} is not known yet. Try again once the board shows it."
        )
        names = {"service": service.name, "environment": environment.name}
        raise Conflict(text.format(**names), code="running_unknown")
    image = seen["image"] if "@" in seen["image"] else f"{service.image}@{digests[0]}"
    return ComposedItem(
        service=service,
        version=seen["version"] or digests[0][:19],
        image=image,
        digest=digests[0],
        accepted=tuple(digests),
        facts={},
    )


def _require_awake(operation: Mapping[str, Any], service: Service, environment: Environment) -> None:
    """Refuse pods to the one of two that rests while they take turns: its version would answer again."""
    if not (operation.get("replicas") and canaries.take_turns(service.spec)):
        return
    awake = proposal.workloads_of(service, environment)
    if awake and operation["workload"] not in awake:
        text = _(
            "{name} rests: with pods it would answer beside the one that is live, in the version before."
        )
        raise Conflict(text.format(name=operation["workload"]), code="colour_rests")


def _operation(service: Service, data: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    kind = data.get("kind")
    if kind == OperationKind.RESTORE:
        # Not here: it takes a right of its own and the name of a backup that is known.
        faults.add("kind", _("A restore is asked for at the backup that it restores."))
        return {}
    if kind not in [*OperationKind]:
        faults.add("kind", _("One of restart, scale, set_resources and run_job is expected."))
        return {}
    faults.unknown("", data, (*OF_EVERY, *FIELDS[str(kind)]))
    read = {
        OperationKind.RESTART: _restart,
        OperationKind.SCALE: _scale,
        OperationKind.RESOURCES: _resources,
        OperationKind.JOB: _job,
    }[OperationKind(str(kind))]
    return {"kind": str(kind), "service": service.name, **read(service, data, faults)}


def _restart(service: Service, data: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """One workload, or all of the service where none is named."""
    return {"workload": _workload(service, data, faults)} if data.get("workload") else {}


def _scale(service: Service, data: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    size = {"replicas": _count("replicas", data.get("replicas"), faults)}
    if data.get("most") is not None:
        size["most"] = _count("most", data["most"], faults)
        if size["most"] < size["replicas"]:
            faults.add("most", _("The most cannot be less than the least."))
    return {"workload": _sized(service, _workload(service, data, faults), faults), **size}


def _sized(service: Service, name: str, faults: Faults) -> str:
    """The workload, which must have a size of its own."""
    kinds = {each["name"]: each["kind"] for each in service.spec.get("workloads") or []}
    if kinds.get(name) == DAEMON_SET:
        text = _("{name} is a DaemonSet: it runs once on each node, and has no size.")
        faults.add("workload", text.format(name=name))
    return name


def _resources(service: Service, data: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    amounts = {kind: _amounts(kind, data.get(kind), faults) for kind in ("requests", "limits")}
    if not any(amounts.values()):
        faults.add("limits", _("Say at least one amount."))
    for name in amounts["requests"].keys() & amounts["limits"].keys():
        if quantity(amounts["requests"][name]) > quantity(amounts["limits"][name]):
            faults.add(f"requests.{name}", _("The request cannot be more than the limit."))
    return {
        "workload": _workload(service, data, faults),
        "container": faults.text("container", data.get("container"), most=63, required=True),
        **{kind: named for kind, named in amounts.items() if named},
    }


def _job(service: Service, data: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    name = faults.text("job", data.get("job"), most=63, required=True)
    if name and name not in [each["name"] for each in service.spec.get("jobs") or []]:
        faults.add("job", _("{service} has no Job named {job}.").format(service=service.name, job=name))
    if name in restores_of(service.spec):
        faults.add("job", _("A restore is asked for at the backup that it restores."))
    return {"job": name}


def _workload(service: Service, data: Mapping[str, Any], faults: Faults) -> str:
    """The named workload; the only one may be left out."""
    names = [each["name"] for each in service.spec.get("workloads") or []]
    name = faults.text("workload", data.get("workload"), most=253)
    if not name and len(names) == 1:
        return str(names[0])
    if name not in names:
        known = ", ".join(names)
        faults.add("workload", _("One of the service's workloads is expected: {names}.").format(names=known))
    return name


def _count(name: str, value: object, faults: Faults) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_REPLICAS:
        faults.add(name, _("A number from 0 to {most} is expected.").format(most=MOST_REPLICAS))
        return 0
    return value


def _amounts(kind: str, value: object, faults: Faults) -> dict[str, str]:
    """CPU and memory as Kubernetes writes them; what is left out stays as it is."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        faults.add(kind, _("An object of amounts is expected."))
        return {}
    faults.unknown(f"{kind}.", value, RESOURCES)
    given = {name: value[name] for name in RESOURCES if value.get(name) not in (None, "")}
    return {name: _amount(f"{kind}.{name}", amount, faults) for name, amount in given.items()}


def _amount(field: str, value: object, faults: Faults) -> str:
    text = faults.text(field, value, most=20)
    if AMOUNT.fullmatch(text) and quantity(text) > 0:
        return text
    if text:
        faults.add(field, _("An amount such as 250m or 512Mi is expected."))
    return "0"
