"""What no schema can say: that names meet their objects, and that orders do not contradict each other.

Pure: documents to load, and the documents already in the portal, go in; problems come out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from approvals import policy_table
from approvals.calendar import zones
from portal.errors import Invalid
from portal.integrations.kubernetes.workloads import DAEMON_SET
from releases.catalog import canaries, schedule_checks
from releases.catalog.documents import Document, Problem
from releases.catalog.plan_checks import problems_of_plan
from releases.catalog.world import Known, World, reference, references

# What is measured of the start is known before it, what of the result after it.
ONLY_IN = {
    **dict.fromkeys(("access_check", "image_exists", "headroom", "secret_hygiene"), "before"),
    "verify_digests": "after",
}
# These look at one service of the catalog, which they name.
OF_A_SERVICE = frozenset({"health", "log_pattern"})


def problems_between(documents: list[Document], stored: Known) -> list[Problem]:
    """Every broken reference and contradiction among documents that fit their schemas."""
    world = World(documents, stored)
    found = [*_repeated_namespaces(world), *_cycles(world), *_several_policies(world)]
    for each in documents:
        if check := CHECKS.get(each.kind):
            found += check(each, world)
    return found


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
    yield from reference(document, world, "Environment", asked["environment"], *where)
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
    yield from reference(document, world, "Team", spec["team"], "team")
    yield from references(document, world, "Environment", "environments")
    yield from references(document, world, "Service", "dependencies")
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
    if canary and "colours" in document.spec:
        text = _("A service has a canary beside its workload, or two colours.")
        yield document.problem(text, "spec", "canary")
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
    if canaries.take_turns(document.spec):
        yield from _in_turns(document)


def _in_turns(document: Document) -> Iterator[Problem]:
    """Nothing but the one at rest gets the version, and both have a size."""
    for index, each in enumerate(document.spec["workloads"]):
        if "colour" not in each:
            text = _("%(name)s has no colour: of two that take turns one or the other has the version.")
            yield document.problem(text % {"name": each["name"]}, "spec", "workloads", index)
        if each["kind"] == DAEMON_SET:
            text = _("%(name)s is a DaemonSet: it runs once on each node, and has no size.")
            yield document.problem(text % {"name": each["name"]}, "spec", "workloads", index)


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
    yield from references(document, world, "Environment", "environments")
    yield from references(document, world, "Service", "services")
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
    if kind in OF_A_SERVICE:
        name = item["check"]["service"]
        yield from reference(document, world, "Service", name, "items", index, "check", "service")
    if kind == "health":
        known = (world.spec("Service", name) or {}).get("health", {}).get("kind", "none")
        if known == "none" and world.spec("Service", name) is not None:
            text = _("%(service)s does not say how its health is asked.") % {"service": name}
            yield document.problem(text, *where, "check", "service")


def _policy(document: Document, world: World) -> Iterator[Problem]:
    for grade, rule in document.spec["grades"].items():
        if "checklist" in rule:
            yield from reference(
                document, world, "Checklist", rule["checklist"], "grades", grade, "checklist"
            )
    try:
        policy_table.read(policy_table.of_spec(document.spec))
    except Invalid as error:
        for each in error.missing:
            path = [int(part) if part.isdigit() else part for part in str(each["field"]).split(".")]
            within = () if path[0] == policy_table.CHANGE else ("grades",)
            yield document.problem(f"{each['field']}: {each['text']}", "spec", *within, *path)


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
    "Environment": _environment,
    "Service": _service,
    "Checklist": _checklist,
    "Policy": _policy,
    "Plan": problems_of_plan,
}
