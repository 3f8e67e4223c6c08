"""Plans against the catalog: their services, orders, Jobs, gates and canaries. Pure, as `checks` is."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from portal.integrations.kubernetes.workloads import DAEMON_SET
from releases.catalog import canaries, metrics, schedule_checks, watches
from releases.catalog.documents import Document, Problem
from releases.catalog.world import World, recipients, reference, references

# Gates that are about one service, and what to say where a plan does not name it.
OF_A_SERVICE: dict[str, Callable[[], str]] = {
    "health": lambda: _("Say whose health it is."),
    "log_pattern": lambda: _("Say whose logs they are: name the `service` of the watch."),
}

# These name the service of the catalog that they look at.
OF_SERVICES = frozenset({"health", watches.KIND, "cluster_view"})


def problems_of_plan(document: Document, world: World) -> Iterator[Problem]:
    """Yield what is wrong between a plan and what it names."""
    yield from references(document, world, "Environment", "environments")
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
    if "watch" in canary:
        watch = {"kind": watches.KIND, **canary["watch"]}
        yield from _named(document, world, watch, "canary", "watch")
    placed = [name for wave in document.spec["waves"] for name in wave["services"]]
    pairs = [canaries.pair_of(canary, world.spec("Service", name) or {}) for name in placed]
    having = [pair for pair in pairs if pair is not None]
    if not having:
        text = _("No service of this plan says in the catalog which workloads are its canary.")
        yield document.problem(text, "spec", "canary")
    if canary["by"] == canaries.WEIGHT and not all(pair.route for pair in having):
        text = _("A canary by weight needs the `route` of each service's canary.")
        yield document.problem(text, "spec", "canary", "by")


def _plan_waves(document: Document, world: World) -> Iterator[Problem]:
    wave_of: dict[str, int] = {}
    for number, wave in enumerate(document.spec["waves"]):
        yield from references(document, world, "Service", "waves", number, "services")
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
    if step["kind"] == "switch_service" and "colour" in step and canaries.take_turns(service):
        text = _("The colours of %(service)s stand behind the same Services: there is nothing to switch.")
        yield document.problem(text % {"service": step["service"]}, *where, "colour")
    looks = set(_looks(step))
    if "cluster_view" in looks and "clusterView" not in service:
        text = _("%(service)s does not say how its cluster view is asked.") % {"service": step["service"]}
        yield document.problem(text, *where)
    if "health" in looks and service.get("health", {}).get("kind", "none") == "none":
        text = _("%(service)s does not say how its health is asked.") % {"service": step["service"]}
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


def _looks(step: Mapping[str, Any]) -> Iterator[str]:
    """What a step and its checks and gates look at of its service, by their kinds."""
    yield step["kind"]
    for each in (*step.get("checks", []), *step.get("gates", [])):
        if each.get("service", step["service"]) == step["service"]:
            yield from _looks({**each, "service": step["service"]})


def _plan_after(document: Document, world: World, step: Mapping[str, Any], index: int) -> Iterator[Problem]:
    """After the waves a step may be about a part of a service that goes out, or about its cluster."""
    where, named = ("spec", "after", index), step.get("service", "")
    placed = {name for wave in document.spec["waves"] for name in wave["services"]}
    is_part = bool({"colour", "workload"} & step.keys())
    if is_part and not named:
        yield document.problem(_("Say whose colour it is: name the `service`."), *where)
    elif is_part and named not in placed:
        text = _("%(service)s stands in no wave of this plan.") % {"service": named}
        yield document.problem(text, *where, "service")
    service = world.spec("Service", named)
    if service is not None and (is_part or step["kind"] == "cluster_view"):
        yield from _around_service(document, step, service, where)


def _plan_steps(document: Document, world: World) -> Iterator[Problem]:
    for part in ("before", "each", "after"):
        seen: set[str] = set()
        for index, step in enumerate(document.spec.get(part, [])):
            yield from _named(document, world, step, part, index)
            if part == "after" and step["kind"] in OF_SERVICES:
                yield from _plan_after(document, world, step, index)
            if step["kind"] == "notice":
                yield from recipients(document, world, step["to"], part, index, "to")
            if (name := step.get("id")) in seen:
                text = _("The step id %(id)s is given twice.") % {"id": name}
                yield document.problem(text, "spec", part, index, "id")
            seen |= {name} if name else set()


def _named(document: Document, world: World, step: Mapping[str, Any], *path: str | int) -> Iterator[Problem]:
    """What a step that looks names, and what the gates of a watch name."""
    if step["kind"] in OF_SERVICES and "service" in step:
        yield from reference(document, world, "Service", step["service"], *path, "service")
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
