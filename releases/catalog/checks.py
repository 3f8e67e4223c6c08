"""What no schema can say: that names meet their objects, and that orders do not contradict each other.

Pure: documents to load, and the documents already in the portal, go in; problems come out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.utils.translation import gettext as _

from approvals import policy_table
from approvals.calendar import zones
from portal.errors import Invalid
from portal.integrations.kubernetes.workloads import DAEMON_SET
from releases.catalog import canaries, metrics, schedule_checks, watches
from releases.catalog.documents import Document, Problem

Known = Mapping[tuple[str, str], Mapping[str, Any]]

# Gates that are about one service, and what to say where a plan does not name it.
OF_A_SERVICE: dict[str, Callable[[], str]] = {
    "health": lambda: _("Say whose health it is."),
    "log_pattern": lambda: _("Say whose logs they are: name the `service` of the watch."),
}
# What is measured of the start is known before it, what of the result after it.
ONLY_IN = {"access_check": "before", "image_exists": "before", "verify_digests": "after"}


@dataclass(frozen=True)
class World:
    """Documents to be loaded, over those already there (kind and name to spec)."""

    documents: list[Document]
    stored: Known

    @cached_property
    def _specs(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        return {**self.stored, **{(each.kind, each.name): each.spec for each in self.documents}}

    def spec(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """The spec that will hold after loading, or None where there is no such object."""
        return self._specs.get((kind, name))

    def all(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Every object of a kind, by name, as it will be after loading."""
        return {name: spec for (each, name), spec in self._specs.items() if each == kind}


def problems_between(documents: list[Document], stored: Known) -> list[Problem]:
    """Every broken reference and contradiction among documents that fit their schemas."""
    world = World(documents, stored)
    found = [*_repeated_namespaces(world), *_cycles(world), *_several_policies(world)]
    for each in documents:
        if check := CHECKS.get(each.kind):
            found += check(each, world)
    return found


def _reference(document: Document, world: World, kind: str, name: Any, *path: str | int) -> Iterator[Problem]:
    if world.spec(kind, str(name)) is None:
        text = _("There is no %(kind)s named %(name)s.") % {"kind": kind, "name": name}
        yield document.problem(text, "spec", *path)


def _references(document: Document, world: World, kind: str, *path: str | int) -> Iterator[Problem]:
    names: Any = document.spec
    for part in path:
        names = names.get(part, []) if isinstance(names, dict) else names[part]
    for index, name in enumerate(names):
        yield from _reference(document, world, kind, name, *path, index)


def _team(document: Document, world: World) -> Iterator[Problem]:
    yield from _recipients(document, world, document.spec.get("notify", []), "notify")


def _environment(document: Document, world: World) -> Iterator[Problem]:
    cluster = world.spec("Connection", document.spec["cluster"])
    if cluster is None or cluster.get("kind") != "kubernetes":
        text = _("There is no Connection named %(name)s of kind kubernetes.")
        yield document.problem(text % {"name": document.spec["cluster"]}, "spec", "cluster")
    if document.spec["stage"] == "production" and not document.spec.get("protected", True):
        yield document.problem(_("An environment of production is always protected."), "spec", "protected")
    if "after" in document.spec:
        yield from _after(document, world)
    for index, window in enumerate(document.spec.get("windows", [])):
        if window.get("timeZone", "UTC") not in zones.names():
            text = _("There is no time zone %(name)s.") % {"name": window["timeZone"]}
            yield document.problem(text, "spec", "windows", index, "timeZone")
    yield from schedule_checks.of_environment(document, lambda name: world.spec("Service", name))


def _after(document: Document, world: World) -> Iterator[Problem]:
    """The row of environments: one system, no circle, and somebody who can answer where QA is asked."""
    asked, where = document.spec["after"], ("after", "environment")
    yield from _reference(document, world, "Environment", asked["environment"], *where)
    before = world.spec("Environment", asked["environment"])
    if before is None:
        return
    if before["system"] != document.spec["system"]:
        text = _("The environment %(name)s belongs to the system %(system)s.")
        values = {"name": asked["environment"], "system": before["system"]}
        yield document.problem(text % values, "spec", *where)
    passed, name = {document.name}, asked["environment"]
    while name and name not in passed:
        passed.add(name)
        name = ((world.spec("Environment", name) or {}).get("after") or {}).get("environment", "")
    if name == document.name:
        yield document.problem(_("The row of environments leads back to this one."), "spec", *where)
    if asked.get("qa") and not _asks_qa(world, asked["environment"]):
        text = _("No checklist of %(name)s has a required item for the role qa.")
        yield document.problem(text % {"name": asked["environment"]}, "spec", "after", "qa")


def _asks_qa(world: World, environment: str) -> bool:
    return any(
        item.get("role") == "qa" and item.get("required", True)
        for spec in world.all("Checklist").values()
        if environment in spec.get("environments", [])
        for item in spec["items"]
    )


def _service(document: Document, world: World) -> Iterator[Problem]:
    spec = document.spec
    yield from _reference(document, world, "Team", spec["team"], "team")
    yield from _references(document, world, "Environment", "environments")
    yield from _references(document, world, "Service", "dependencies")
    for index, name in enumerate(spec["environments"]):
        environment = world.spec("Environment", name)
        if environment is not None and environment["system"] != spec["system"]:
            text = _("The environment %(name)s belongs to the system %(system)s.")
            values = {"name": name, "system": environment["system"]}
            yield document.problem(text % values, "spec", "environments", index)
    seen: set[tuple[str, str]] = set()
    for index, workload in enumerate(spec["workloads"]):
        key = (workload["kind"], workload["name"])
        if key in seen:
            text = _("The %(kind)s %(name)s is listed twice.") % dict(zip(("kind", "name"), key, strict=True))
            yield document.problem(text, "spec", "workloads", index)
        seen.add(key)
    yield from _canary_of(document)
    bounds = spec.get("scale", {"min": 0, "max": 0})
    if bounds["min"] > bounds["max"]:
        yield document.problem(_("The least is more than the most."), "spec", "scale")
    yield from _colours(document)
    yield from _under_helm(document, world)
    yield from _manifests(document)
    jobs: set[str] = set()
    for index, job in enumerate(spec.get("jobs", [])):
        if job["name"] in jobs:
            text = _("The %(kind)s %(name)s is listed twice.") % {"kind": "Job", "name": job["name"]}
            yield document.problem(text, "spec", "jobs", index)
        jobs.add(job["name"])
    loaded = {each.name for each in world.documents if each.kind == "Environment"}
    others = {name: each for name, each in world.all("Environment").items() if name not in loaded}
    yield from schedule_checks.of_service(document, others)


def _canary_of(document: Document) -> Iterator[Problem]:
    """It stands beside one of the service's workloads."""
    canary = document.spec.get("canary", {})
    names = [each["name"] for each in document.spec["workloads"]]
    if canary and canary["stable"] not in names:
        text = _("There is no workload named %(name)s.") % {"name": canary["stable"]}
        yield document.problem(text, "spec", "canary", "stable")
    if canary and canary["stable"] == canary["canary"]:
        text = _("The canary is a workload of its own.")
        yield document.problem(text, "spec", "canary", "canary")


def _colours(document: Document) -> Iterator[Problem]:
    """A service with colours has one workload of each, and only such a service has any."""
    named = [each["colour"] for each in document.spec["workloads"] if "colour" in each]
    if "colours" in document.spec and sorted(named) != ["blue", "green"]:
        yield document.problem(
            _("Expected one workload of each colour, blue and green."), "spec", "workloads"
        )
    if named and "colours" not in document.spec:
        text = _("A workload has a colour, but `colours` does not say which Services follow it.")
        yield document.problem(text, "spec", "workloads")


def _manifests(document: Document) -> Iterator[Problem]:
    """Manifests are named for environments in which the service is."""
    for name in document.spec.get("manifests", {}):
        if name not in document.spec["environments"]:
            text = _("%(service)s does not run in %(environment)s.")
            values = {"service": document.name, "environment": name}
            yield document.problem(text % values, "spec", "manifests", name)


def _under_helm(document: Document, world: World) -> Iterator[Problem]:
    """Values are of environments in which the service runs, and a Helm release is of one service."""
    helm = document.spec.get("helm")
    if helm is None:
        return
    if "canary" in document.spec:
        yield document.problem(
            _("A service under Helm has no canary: Helm owns its workloads."), "spec", "canary"
        )
    if "colours" in document.spec:
        yield document.problem(
            _("A service under Helm has no colours: Helm owns its workloads."), "spec", "colours"
        )
    for name in helm.get("values", {}):
        if name not in document.spec["environments"]:
            text = _("%(service)s does not run in %(environment)s.")
            values = {"service": document.name, "environment": name}
            yield document.problem(text % values, "spec", "helm", "values", name)
    for name, other in world.all("Service").items():
        shared = set(other["environments"]) & set(document.spec["environments"])
        if name != document.name and shared and other.get("helm", {}).get("release") == helm["release"]:
            text = _("The Helm release %(release)s already belongs to %(service)s.")
            values = {"release": helm["release"], "service": name}
            yield document.problem(text % values, "spec", "helm", "release")


def _checklist(document: Document, world: World) -> Iterator[Problem]:
    yield from _references(document, world, "Environment", "environments")
    yield from _references(document, world, "Service", "services")
    for index, item in enumerate(document.spec["items"]):
        if "check" in item:
            yield from _measured_item(document, world, item, index)


def _measured_item(
    document: Document, world: World, item: Mapping[str, Any], index: int
) -> Iterator[Problem]:
    """An item that the portal answers: nobody's role, in a phase in which there is something to measure."""
    kind, where = item["check"]["kind"], ("spec", "items", index)
    if "role" in item or "kind" in item:
        text = _("The portal answers an item with `check`; it has no role and no kind.")
        yield document.problem(text, *where)
    phase = ONLY_IN.get(kind, item["phase"])
    if item["phase"] != phase:
        text = _("%(kind)s is measured in the phase %(phase)s only.") % {"kind": kind, "phase": phase}
        yield document.problem(text, *where, "check", "kind")
    if kind == "health":
        name = item["check"]["service"]
        yield from _reference(document, world, "Service", name, "items", index, "check", "service")
        known = (world.spec("Service", name) or {}).get("health", {}).get("kind", "none")
        if known == "none" and world.spec("Service", name) is not None:
            text = _("%(service)s does not say how its health is asked.") % {"service": name}
            yield document.problem(text, *where, "check", "service")


def _policy(document: Document, world: World) -> Iterator[Problem]:
    for grade, rule in document.spec["grades"].items():
        if "checklist" in rule:
            yield from _reference(
                document, world, "Checklist", rule["checklist"], "grades", grade, "checklist"
            )
    try:
        policy_table.read(policy_table.of_spec(document.spec))
    except Invalid as error:
        for each in error.missing:
            path = [int(part) if part.isdigit() else part for part in str(each["field"]).split(".")]
            within = () if path[0] == policy_table.CHANGE else ("grades",)
            yield document.problem(f"{each['field']}: {each['text']}", "spec", *within, *path)


def _plan(document: Document, world: World) -> Iterator[Problem]:
    yield from _references(document, world, "Environment", "environments")
    yield from _plan_waves(document, world)
    yield from _plan_around(document, world)
    yield from _plan_steps(document, world)
    yield from _plan_canary(document, world)
    kinds = [step["kind"] for step in document.spec["each"]]
    for kind in ("set_image", "helm_upgrade"):
        if kinds.count(kind) > 1:
            text = _("%(kind)s may stand in `each` only once.") % {"kind": kind}
            yield document.problem(text, "spec", "each")
    yield from _plan_helm(document, world, kinds)


def _plan_helm(document: Document, world: World, kinds: list[str]) -> Iterator[Problem]:
    """One owner per workload: what is under Helm is upgraded by Helm, after a backup or with a reason."""
    for number, wave in enumerate(document.spec["waves"]):
        for index, name in enumerate(wave["services"]):
            under_helm = "helm" in (world.spec("Service", name) or {})
            if under_helm and "helm_upgrade" not in kinds:
                text = _(
                    "%(service)s is under Helm; `each` has no helm_upgrade, and nothing else changes it."
                )
                where = ("spec", "waves", number, "services", index)
                yield document.problem(text % {"service": name}, *where)
    if "helm_upgrade" not in kinds:
        return
    index = kinds.index("helm_upgrade")
    if "helm_backup" not in kinds[:index] and "skipBackup" not in document.spec["each"][index]:
        text = _("Before helm_upgrade stands helm_backup, or `skipBackup` says why there is none.")
        yield document.problem(text, "spec", "each", index)


def _plan_canary(document: Document, world: World) -> Iterator[Problem]:
    """Shares that grow to the whole, gates that can be measured, services that have a canary."""
    canary = document.spec.get("canary")
    if (canary is None) is (document.spec.get("strategy") == "canary"):
        yield document.problem(_("A plan with `canary` has the strategy canary, and no other."), "spec")
    if canary is None:
        return
    steps = canary["steps"]
    if steps != sorted(steps) or steps[-1] != canaries.WHOLE:
        text = _("The shares of a canary grow, and end with 100.")
        yield document.problem(text, "spec", "canary", "steps")
    watch = {"kind": watches.KIND, **canary["watch"]}
    yield from _named(document, world, watch, "canary", "watch")
    placed = [name for wave in document.spec["waves"] for name in wave["services"]]
    having = [spec["canary"] for name in placed if "canary" in (spec := world.spec("Service", name) or {})]
    if not having:
        text = _("No service of this plan says in the catalog which workloads are its canary.")
        yield document.problem(text, "spec", "canary")
    if canary["by"] == canaries.WEIGHT and not all("route" in each for each in having):
        text = _("A canary by weight needs the `route` of each service's canary.")
        yield document.problem(text, "spec", "canary", "by")


def _plan_waves(document: Document, world: World) -> Iterator[Problem]:
    wave_of: dict[str, int] = {}
    for number, wave in enumerate(document.spec["waves"]):
        yield from _references(document, world, "Service", "waves", number, "services")
        for index, name in enumerate(wave["services"]):
            where = ("spec", "waves", number, "services", index)
            if name in wave_of:
                text = _("%(service)s already stands in wave %(wave)d.")
                yield document.problem(text % {"service": name, "wave": wave_of[name] + 1}, *where)
                continue
            wave_of[name] = number
            yield from _lives_elsewhere(document, world, name, where)
    for name, number in wave_of.items():
        yield from _against_dependencies(document, world, name, number, wave_of)


def _lives_elsewhere(
    document: Document, world: World, name: str, where: tuple[str | int, ...]
) -> Iterator[Problem]:
    service = world.spec("Service", name)
    if service is None:
        return
    for environment in document.spec["environments"]:
        if environment not in service["environments"] and world.spec("Environment", environment) is not None:
            text = _("%(service)s does not run in %(environment)s.")
            yield document.problem(text % {"service": name, "environment": environment}, *where)


def _against_dependencies(
    document: Document, world: World, name: str, number: int, wave_of: Mapping[str, int]
) -> Iterator[Problem]:
    """A service may not go out in an earlier wave than one it depends on."""
    for needed in (world.spec("Service", name) or {}).get("dependencies", []):
        if wave_of.get(needed, -1) > number:
            index = document.spec["waves"][number]["services"].index(name)
            text = _(
                "%(service)s (wave %(wave)d) depends on %(needed)s, which goes out later (wave %(later)d)."
            )
            values = {"service": name, "wave": number + 1, "needed": needed, "later": wave_of[needed] + 1}
            yield document.problem(text % values, "spec", "waves", number, "services", index)


def _plan_around(document: Document, world: World) -> Iterator[Problem]:
    """A step before or after a wave is of a service that the plan rolls out, and of a Job it has."""
    placed = {name for wave in document.spec["waves"] for name in wave["services"]}
    for where, step in _steps_around(document):
        if step["service"] not in placed:
            text = _("%(service)s stands in no wave of this plan.") % {"service": step["service"]}
            yield document.problem(text, *where, "service")
            continue
        service = world.spec("Service", step["service"])
        if service is not None:
            yield from _around_service(document, step, service, where)
        if step["kind"] == watches.KIND:
            yield from _named(document, world, step, *where[1:])


def _steps_around(document: Document) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    """The steps beside waves and after the sign-off, each with its path."""
    for part, places in (("waves", ("before", "after")), ("switch", ("steps",))):
        for number, wave in enumerate(document.spec.get(part, [])):
            for place in places:
                for index, step in enumerate(wave.get(place, [])):
                    yield ("spec", part, number, place, index), step


def _around_service(
    document: Document, step: Mapping[str, Any], service: Mapping[str, Any], where: tuple[str | int, ...]
) -> Iterator[Problem]:
    """What a step beside a wave names, its service has."""
    jobs = {job["name"] for job in service.get("jobs", [])}
    if step["kind"] == "run_job" and step["job"] not in jobs:
        text = _("%(service)s has no Job named %(job)s.")
        yield document.problem(text % {"service": step["service"], "job": step["job"]}, *where, "job")
    if step["kind"] == "run_job" and step["job"] in schedule_checks.restores_of(service):
        text = _("A database is restored by a request of its own, never by a plan.")
        yield document.problem(text, *where, "job")
    named = [each for each in service["workloads"] if step.get("workload", each["name"]) == each["name"]]
    if "colour" in step and "colours" not in service:
        text = _("%(service)s has no colours.") % {"service": step["service"]}
        yield document.problem(text, *where, "colour")
    looks = [step["kind"], *(each["kind"] for each in step.get("checks", []))]
    if "cluster_view" in looks and "clusterView" not in service:
        text = _("%(service)s does not say how its cluster view is asked.") % {"service": step["service"]}
        yield document.problem(text, *where)
    if step["kind"] == "apply_manifests" and "manifests" not in service:
        text = _("%(service)s does not say where its manifests are.") % {"service": step["service"]}
        yield document.problem(text, *where, "service")
    if step["kind"] == "scale" and [each["kind"] for each in named] == [DAEMON_SET]:
        text = _("%(name)s is a DaemonSet: it runs once on each node, and has no size.")
        yield document.problem(text % {"name": named[0]["name"]}, *where)
    if step["kind"] == "scale" and "helm" in service:
        text = _("%(service)s is under Helm: its replicas are a value of its chart.")
        yield document.problem(text % {"service": step["service"]}, *where)
    elif step["kind"] == "scale" and "colour" not in step and len(named) != 1:
        text = _("Say which one workload of %(service)s is scaled.") % {"service": step["service"]}
        yield document.problem(text, *where, "workload")


def _plan_steps(document: Document, world: World) -> Iterator[Problem]:
    for part in ("before", "each", "after"):
        seen: set[str] = set()
        for index, step in enumerate(document.spec.get(part, [])):
            yield from _named(document, world, step, part, index)
            if step["kind"] == "notice":
                yield from _recipients(document, world, step["to"], part, index, "to")
            if (name := step.get("id")) in seen:
                text = _("The step id %(id)s is given twice.") % {"id": name}
                yield document.problem(text, "spec", part, index, "id")
            seen |= {name} if name else set()


def _named(document: Document, world: World, step: Mapping[str, Any], *path: str | int) -> Iterator[Problem]:
    """What a step that looks names, and what the gates of a watch name."""
    if step["kind"] in {"health", watches.KIND} and "service" in step:
        yield from _reference(document, world, "Service", step["service"], *path, "service")
    if step["kind"] == metrics.KIND:
        yield from _metric(document, world, step, *path)
    if step["kind"] == watches.KIND:
        for index, gate in enumerate(step.get("gates", [])):
            yield from _named(document, world, gate, *path, "gates", index)
            if path[0] == "after" and gate["kind"] in OF_A_SERVICE and not {"service"} & {*gate, *step}:
                text = OF_A_SERVICE[gate["kind"]]()
                yield document.problem(text, "spec", *path, "gates", index)


def _metric(document: Document, world: World, step: Mapping[str, Any], *path: str | int) -> Iterator[Problem]:
    connection = world.spec("Connection", step["connection"])
    if connection is None or connection.get("kind") != "prometheus":
        text = _("There is no Connection named %(name)s of kind prometheus.")
        yield document.problem(text % {"name": step["connection"]}, "spec", *path, "connection")
    needed = metrics.watched_seconds(step)
    if step.get("timeoutSeconds", needed + 1) <= needed:
        text = _("The measurements alone take %(seconds)d seconds.")
        yield document.problem(text % {"seconds": needed}, "spec", *path, "timeoutSeconds")


def _recipients(
    document: Document, world: World, recipients: Iterable[str], *path: str | int
) -> Iterator[Problem]:
    for index, recipient in enumerate(recipients):
        kind, _colon, name = recipient.partition(":")
        if kind == "team":
            yield from _reference(document, world, "Team", name, *path, index)


def _several_policies(world: World) -> Iterator[Problem]:
    policies = [each for each in world.documents if each.kind == "Policy"]
    others = {name for kind, name in world.stored if kind == "Policy"}
    for each in policies[1:]:
        yield each.problem(_("There can be only one Policy."), "metadata", "name")
    if policies and others - {policies[0].name}:
        text = _("The policy in force is named %(name)s; there can be only one.")
        yield policies[0].problem(text % {"name": ", ".join(sorted(others))}, "metadata", "name")


def _repeated_namespaces(world: World) -> Iterator[Problem]:
    """Two environments on one namespace would be a protected and an unprotected door to the same thing."""
    loaded = {each.name: each for each in world.documents if each.kind == "Environment"}
    seen: dict[tuple[str, str], str] = {}
    for name, spec in sorted(world.all("Environment").items(), key=lambda item: item[0] in loaded):
        key = (str(spec["cluster"]), str(spec["namespace"]))
        other = seen.setdefault(key, name)
        if other != name and name in loaded:
            text = _(
                "The namespace %(namespace)s of %(cluster)s already belongs to the environment %(other)s."
            )
            values = {"cluster": key[0], "namespace": key[1], "other": other}
            yield loaded[name].problem(text % values, "spec", "namespace")


def _cycles(world: World) -> Iterator[Problem]:
    """Services that depend on each other in a circle have no order in which they could go out."""
    needs = {name: list(spec.get("dependencies", [])) for name, spec in world.all("Service").items()}
    loaded = {each.name: each for each in world.documents if each.kind == "Service"}
    told: set[frozenset[str]] = set()
    for name, document in loaded.items():
        circle = _circle(name, needs)
        if circle and frozenset(circle) not in told:
            told.add(frozenset(circle))
            text = _("The dependencies run in a circle: %(circle)s.") % {"circle": " → ".join(circle)}
            yield document.problem(text, "spec", "dependencies")


def _circle(start: str, needs: Mapping[str, list[str]]) -> list[str]:
    """The way from a service back to itself, or nothing; breadth first, so the shortest."""
    came_from: dict[str, str] = {}
    waiting = [start]
    while waiting:
        current = waiting.pop(0)
        for needed in needs.get(current, []):
            if needed == start:
                return [*_way(start, current, came_from), start]
            if needed not in came_from:
                came_from[needed] = current
                waiting.append(needed)
    return []


def _way(start: str, end: str, came_from: Mapping[str, str]) -> list[str]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


CHECKS = {
    "Team": _team,
    "Environment": _environment,
    "Service": _service,
    "Checklist": _checklist,
    "Policy": _policy,
    "Plan": _plan,
}
