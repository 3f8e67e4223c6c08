"""The dry run: every step of a release with what it would change against what runs now, and what is wrong."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.errors import UNAVAILABLE, UNREACHABLE
from portal.people.models import User
from portal.sentences import kept
from releases.catalog.models import Service
from releases.models import Release
from releases.operating import plan_of
from releases.rollouts import dry_runs, texts
from releases.rollouts.graph import Node
from releases.rollouts.models import Step
from releases.rollouts.operations import graph_of, step_of
from releases.rollouts.steps.kind import Planned, Work
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.waves import StepView, WaveView, waves_of

Json = dict[str, Any]
# Who waits at a page has gone by then; one call in it may take half a minute more.
MOST_SECONDS = 60
AWAY = frozenset({UNREACHABLE, UNAVAILABLE, "connection"})


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One step of the dry run; `changes` are [{"object", "field", "before", "after"}]."""

    key: str
    kind: str
    title: str
    service: str
    wave: int
    wave_title: str
    section: str
    timeout_seconds: int
    depends_on: tuple[str, ...]
    text: str
    changes: tuple[Json, ...] = field(default=(), hash=False)
    error: str = ""
    notes: tuple[str, ...] = ()

    @property
    def differing(self) -> list[Json]:
        """The fields that would not stay as they are, their images as short as people can tell them apart."""
        return [
            {**change, "before": before, "after": after}
            for change in self.changes
            if change["before"] != change["after"]
            for before, after in [texts.told_apart(change["before"], change["after"])]
        ]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The dry run of a release; `cluster_error` says why the cluster could not be asked, in its own words."""

    steps: tuple[PlannedStep, ...]
    expected_seconds: int
    cluster_error: str = ""
    waves: tuple[WaveView, ...] = ()

    @property
    def graph(self) -> list[Json]:
        """The picture's data, as that of a rollout."""
        return [wave.drawn for wave in self.waves]

    @property
    def changes(self) -> int:
        """How many fields would change."""
        return sum(len(step.differing) for step in self.steps)

    @property
    def changing(self) -> list[PlannedStep]:
        """The steps that would change something."""
        return [step for step in self.steps if step.differing]

    @property
    def noted(self) -> list[PlannedStep]:
        """The steps of which something is worth knowing."""
        return [step for step in self.steps if step.notes]

    @property
    def errors(self) -> list[PlannedStep]:
        """The steps that would fail as things stand."""
        return [step for step in self.steps if step.error]


def preview_for(user: User, release: Release) -> Preview:
    """Dry-run a release for somebody who waits at a door.

    Raises:
        Invalid: as for `preview`.
        TemporaryError: with code "busy"; too much of that goes on.
    """
    helm = dry_runs.starts_helm(graph_of(release))
    with dry_runs.one_of_few(user) if helm else nullcontext():
        return preview(release)


def preview(release: Release) -> Preview:
    """Ask every step what it would change, without changing anything.

    A cluster out of reach is named once, and the steps are shown without their differences; what would take
    longer than is good for a page is not asked any more, and says so.

    Raises:
        Invalid: there is no plan, or it does not fit the release.
    """
    nodes, ends_at = graph_of(release), time.monotonic() + MOST_SECONDS
    steps = _steps_of(nodes)
    items = list(release.items.select_related("service"))
    cluster_error = ""
    shown = []
    for node, step in zip(nodes, steps, strict=True):
        work = Work(step=step, release=release, environment=release.environment, items=items, siblings=steps)
        late = time.monotonic() > ends_at
        planned, lost = (_unasked(late=late), "") if cluster_error or late else _plan(work)
        cluster_error = cluster_error or lost
        shown.append(_shown(step, node.depends_on, planned))
    minutes = plan_of(release).get("expectedMinutes") or 30
    return Preview(
        steps=tuple(shown),
        expected_seconds=int(minutes) * 60,
        cluster_error=cluster_error,
        waves=waves_of(
            [StepView(step=step, title=texts.sized_title(step)) for step in steps],
            {item.service_id: item for item in items},
        ),
    )


def planned_steps(release: Release) -> list[Step]:
    """The steps that a rollout of the release would have, as rows that are not saved.

    Raises:
        Invalid: there is no plan, or it does not fit the release.
    """
    return _steps_of(graph_of(release))


def _steps_of(nodes: Sequence[Node]) -> list[Step]:
    services = {each.name: each for each in Service.objects.filter(name__in={node.service for node in nodes})}
    return [step_of(node, None, services) for node in nodes]


def _unasked(*, late: bool) -> Planned:
    return Planned(notes=[{"code": "not_asked", "args": {"seconds": MOST_SECONDS}}] if late else [])


def _plan(work: Work) -> tuple[Planned, str]:
    """Return what the step would change, and why the cluster is lost if it is."""
    if work.step.params.get("colour") and not work.step.params.keys() & {"workload", "selector"}:
        return (
            Planned(),
            "",
        )  # which colour that is could not be found, and the step that looks for it says so
    try:
        return KINDS[work.step.kind].plan(work), ""
    except (TemporaryError, PermanentError) as error:
        if error.code in AWAY:
            return Planned(), str(error.detail)
        return Planned(error={"code": error.code, "message": kept(error.detail)}), ""


def _shown(step: Step, depends_on: tuple[str, ...], planned: Planned) -> PlannedStep:
    step.planned = {"changes": planned.changes}
    return PlannedStep(
        key=step.key,
        kind=step.kind,
        title=texts.sized_title(step),
        service=step.service.name if step.service else "",
        wave=step.wave,
        wave_title=step.wave_title,
        section=str(step.params.get("section", "")),
        timeout_seconds=step.timeout_seconds,
        depends_on=depends_on,
        text=texts.planned(step),
        changes=tuple(planned.changes),
        error=texts.failure(planned.error) if planned.error else "",
        notes=tuple(map(texts.note, planned.notes)),
    )
