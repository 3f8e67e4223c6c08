"""What is known of a service in an environment: what runs, was checked, which Jobs ran, what went out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal import access
from portal.people.models import User
from releases.catalog.models import Environment, Running, Service
from releases.models import Release
from releases.rollouts import looking, queries, texts
from releases.rollouts.colours import Colours, Tile
from releases.rollouts.models import Pin, Step
from releases.rollouts.queries import BoardCell
from releases.rollouts.states import StepState
from releases.rollouts.steps.colours import colours_with_traffic

Json = dict[str, Any]
HISTORY = 20
CHECKS = ("health", "http", "prometheus")
# A check that has not been made yet says nothing.
MADE = (
    StepState.SUCCEEDED,
    StepState.FAILED,
    StepState.ERRORED,
    StepState.INCONCLUSIVE,
    StepState.SKIPPED,
)


@dataclass(frozen=True, kw_only=True)
class Last:
    """What a check, or a Job, came to last time; `step` is None where it was never made."""

    name: str
    step: Step | None = None
    text: str = ""

    @property
    def at(self) -> datetime | None:
        """When it ended."""
        return self.step.ended_at if self.step else None


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """A service in an environment."""

    service: Service
    environment: Environment
    cell: BoardCell
    seen: looking.Look
    checks: Sequence[Last]
    jobs: Sequence[Last]
    history: Sequence[Release]
    pin: Pin | None
    colours: Sequence[Colours] = ()


def visible_service(user: User, name: str, env: str) -> tuple[Service, Environment]:
    """Return the service and the environment, or raise NotFound where the person may not see either."""
    environment = access.get_or_404(user, Environment, name=env)
    return access.get_or_404(user, Service, name=name, environments=environment), environment


def portrait_of(service: Service, environment: Environment) -> Portrait:
    """Gather what is known, with one bounded look into the cluster."""
    history = Release.objects.filter(environment=environment, items__service=service).select_related("author")
    pins = Pin.objects.filter(service=service, environment=environment, lifted_at=None)
    seen = looking.look(service, environment)
    return Portrait(
        service=service,
        environment=environment,
        cell=queries.cell_of(service, environment),
        seen=seen,
        checks=_checks(service, environment),
        jobs=_jobs(service, environment),
        history=list(history.order_by("-number")[:HISTORY]),
        pin=pins.select_related("rollout").first(),
        colours=_colours(service, environment, seen),
    )


def _colours(service: Service, environment: Environment, seen: looking.Look) -> list[Colours]:
    """Both colours with their pods, and which has the traffic by what the watcher saw last."""
    spec = service.spec.get("colours")
    sizes = {each.name: each for each in seen.workloads}
    if not spec or not sizes:
        return []
    row = Running.objects.filter(service=service, environment=environment).first()
    selectors = (row.seen.get("selectors") or {}) if row else {}
    documents = [each for each in service.spec.get("workloads") or [] if each["name"] in sizes]
    wanted = {str(each.get("colour")): sizes[each["name"]].wanted for each in documents}
    live = colours_with_traffic(spec, selectors=selectors, sizes=wanted)
    tiles = (
        Tile(colour=each["colour"], is_live=each["colour"] in live, ready=size.ready, wanted=size.wanted)
        for each in documents
        for size in [sizes[each["name"]]]
        if each.get("colour")
    )
    return [Colours(service=service.name, tiles=tuple(tiles))]


def _checks(service: Service, environment: Environment) -> list[Last]:
    """The latest of each check that rollouts made of the service here."""
    steps = _made(service, environment, CHECKS)
    newest: dict[str, Step] = {}
    for step in steps:
        newest.setdefault(texts.step_title(step), step)
    return [Last(name=name, step=step, text=texts.step_text(step)) for name, step in newest.items()]


def _jobs(service: Service, environment: Environment) -> list[Last]:
    """The Jobs of the catalog, each with its latest run by the portal."""
    newest: dict[str, Step] = {}
    for step in _made(service, environment, ("run_job",)):
        newest.setdefault(str((step.params.get("job") or {}).get("name")), step)
    return [
        Last(name=name, step=step, text=texts.step_text(step) if step else "")
        for name in (each["name"] for each in service.spec.get("jobs") or [])
        for step in [newest.get(name)]
    ]


def _made(service: Service, environment: Environment, kinds: Sequence[str]) -> list[Step]:
    found = Step.objects.filter(
        service=service, rollout__environment=environment, kind__in=kinds, state__in=MADE
    )
    return list(found.exclude(ended_at=None).select_related("rollout").order_by("-ended_at")[:50])
