"""What the pages show of rollouts: waves with their members, progress, trouble, choices, the way back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext

from portal import access
from portal.errors import Missing
from portal.people.models import User
from portal.sentences import worded_in
from portal.ui.charts import Spark
from releases import openings, wording
from releases.catalog.models import Service
from releases.rollouts import by_itself, durations, lifting, line, queries, release_side, texts, watched
from releases.rollouts.colours import Act, Colours, after_signoff, colours_of, goes_back_at_once
from releases.rollouts.course import is_switching
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.operations import AT_AN_END, GOES_FORWARD, REPLACED, RIGHTS, open_text
from releases.rollouts.orders import POSSIBLE, SKIPPABLE, is_possible
from releases.rollouts.queries import HIDDEN_KINDS
from releases.rollouts.reaching import ABORT, HOLD, HOLDS, REACHED, UNREACHED
from releases.rollouts.reaching import GOES_ON as CANNOT_BE_HELD
from releases.rollouts.rollback import in_order_of_return, net_changes, touched
from releases.rollouts.states import (
    ACTIVE,
    GOES_ON,
    HONOURED,
    TROUBLED,
    Direction,
    OrderKind,
    RolloutState,
    StepState,
)
from releases.rollouts.verdicts import Verdict, verdict_of
from releases.rollouts.waves import StepView, WaveView, waves_of

Json = dict[str, Any]
# Something may still begin in these.
GOING = ACTIVE - {RolloutState.STOPPING} | {RolloutState.PAUSED}
# What a person halted stands where it is in these.
HELD_IN = frozenset({RolloutState.PAUSED, RolloutState.STOPPED, RolloutState.FAILED})
TO_COME = frozenset({StepState.WAITING, StepState.READY})
# By which order of a person it came to stand, or goes back.
CAME_BY = {
    RolloutState.STOPPED: OrderKind.STOP,
    RolloutState.ROLLING_BACK: OrderKind.ROLLBACK,
    RolloutState.ROLLED_BACK: OrderKind.ROLLBACK,
    RolloutState.ROLLBACK_FAILED: OrderKind.ROLLBACK,
}
# What nothing undoes, by the words that a way back has for it.
STAYING: dict[str, Callable[[Step], str]] = {
    "run_job": lambda step: gettext("the Job {name}").format(name=step.params["job"]["cronJob"]),
    "restore_database": lambda step: gettext("the restore from {name}").format(name=step.params["backup"]),
    "restart": lambda step: gettext("the restart of {name}").format(name=step.params["workload"]["name"]),
}
# What only repeats the step's title in the past tense.
SAID_BY_TITLE = frozenset(
    {"done", "recorded", "image_set", "image_restored", "job_done", "switched", "switched_back"}
    | {"restarted", "resources_set", "resources_restored"}
)


@dataclass(frozen=True, kw_only=True)
class Glance:
    """A rollout in one line: how far it is and, where it holds, why."""

    rollout: Rollout
    done: int
    total: int
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All that the page of a rollout shows; `off` are orders shown as impossible, each with its reason."""

    rollout: Rollout
    waves: tuple[WaveView, ...]
    done: int
    total: int
    troubles: tuple[StepView, ...]
    warnings: tuple[StepView, ...]
    asked: tuple[Order, ...]
    came_by: Order | None
    unreached: tuple[str, ...]
    held: tuple[str, ...]
    unheld: tuple[str, ...]
    pause_text: str
    pause_help: str
    orders: frozenset[str]
    off: Json = field(default_factory=dict, hash=False)
    eta: datetime | None = None
    verdict: Verdict | None = None
    back: bool = False
    forward: tuple[WaveView, ...] = ()
    stays: tuple[str, ...] = ()
    back_because: str = ""
    stands_because: str = ""
    colours: tuple[Colours, ...] = ()
    after_signoff: tuple[Act, ...] = ()
    now: tuple[StepView, ...] = ()
    coming: tuple[StepView, ...] = ()
    switches: bool = False

    @property
    def tone(self) -> str:
        """The tone of the bar: bad where the rollout has failed."""
        failed = self.rollout.state in {RolloutState.FAILED, RolloutState.ROLLBACK_FAILED}
        return "bad" if failed else ""

    @property
    def may_change(self) -> bool:
        """Whether something may happen here, so that a page without scripts has to look again."""
        return self.rollout.state in {*ACTIVE, RolloutState.PAUSED, RolloutState.FAILED}

    @property
    def aborted(self) -> list[str]:
        """The canaries that gave way to the stable version when it was stopped."""
        reach = (self.came_by.reach if self.came_by else None) or {}
        found = reach.get("targets", [])
        return texts.reached(each for each in found if (each["act"], each["state"]) == (ABORT, REACHED))

    @property
    def logged(self) -> list[Service]:
        """The services that something is done to now, each once."""
        return list(dict.fromkeys(each.step.service for each in self.now if each.step.service))

    @property
    def graph(self) -> list[Json]:
        """The picture's data: columns of nodes."""
        return [wave.drawn for wave in self.waves]


def overview(rollout: Rollout, user: User) -> Overview:
    """Read a rollout as one person may see and steer it."""
    steps = list(rollout.steps.select_related("service").order_by("position", "id"))
    way = Direction.BACK if any(each.direction == Direction.BACK for each in steps) else Direction.FORWARD
    present = [each for each in steps if each.direction == way]
    may = _rights(rollout, user)
    off = {
        **_replaced(rollout, may),
        **(_kept_back(rollout, may, present) if way == Direction.FORWARD else {}),
    }
    may -= off.keys()
    orders = frozenset(kind for kind in may if is_possible(rollout, kind, way=way))
    versions = {item.service_id: item for item in rollout.release.items.all()}
    views = {step.pk: _view(step, rollout, _of_step(step, may, user), way) for step in steps}
    troubles = [each for each in present if each.state in TROUBLED and not each.is_warning]
    return Overview(
        rollout=rollout,
        waves=waves_of([views[each.pk] for each in present], versions),
        **queries.progress(rollout),
        troubles=tuple(views[each.pk] for each in troubles),
        warnings=tuple(views[each.pk] for each in present if each.is_warning),
        asked=tuple(rollout.orders.filter(honoured_at=None).select_related("by")),
        came_by=_came_by(rollout),
        unreached=_unreached(rollout),
        held=_held(rollout, REACHED),
        unheld=_held(rollout, CANNOT_BE_HELD),
        pause_text=texts.pause(rollout.pause) if rollout.pause else "",
        pause_help="" if OrderKind.RESUME in orders else lifting.help_with(rollout),
        orders=orders,
        off=off,
        eta=durations.due_at(rollout),
        verdict=verdict_of(rollout, steps),
        back=way == Direction.BACK,
        forward=waves_of([views[each.pk] for each in steps if each.direction != way], versions),
        stays=_stays(steps),
        back_because=by_itself.cause_of(rollout) if way == Direction.BACK else "",
        stands_because=by_itself.stands_because(rollout, troubles),
        colours=colours_of(steps),
        after_signoff=after_signoff(steps),
        now=tuple(views[each.pk] for each in present if _runs_shown(each)),
        coming=tuple(views[each.pk] for each in _coming(rollout, present)),
        switches=rollout.state == RolloutState.SWITCHING or is_switching(steps),
    )


def _runs_shown(step: Step) -> bool:
    return step.state == StepState.RUNNING and step.kind not in HIDDEN_KINDS


def _coming(rollout: Rollout, steps: Iterable[Step]) -> list[Step]:
    """What begins as soon as what runs now is done, in its order; nothing where nobody lets it go on."""
    if rollout.state not in GOING:
        return []
    earlier = rollout.dependencies()
    found: list[Step] = []
    # What is settled, runs, or is begun on the way without being shown.
    passed: set[int] = set()
    for step in steps:
        if step.is_settled or step.state == StepState.RUNNING:
            passed.add(step.pk)
        elif step.state in TO_COME and earlier.get(step.pk, set()) <= passed:
            if step.kind in HIDDEN_KINDS:
                passed.add(step.pk)
            else:
                found.append(step)
    return found


def _came_by(rollout: Rollout) -> Order | None:
    """The order of a person by which it was stopped, or goes or went back."""
    kind = CAME_BY.get(RolloutState(rollout.state))
    if kind is None:
        return None
    given = rollout.orders.filter(kind=kind, outcome=HONOURED, by__isnull=False)
    return given.select_related("by").order_by("pk").last()


def _unreached(rollout: Rollout) -> tuple[str, ...]:
    """What the last order that went to the cluster could not do there."""
    order = rollout.orders.filter(reach__isnull=False).order_by("pk").last()
    targets = ((order.reach if order else None) or {}).get("targets", [])
    return tuple(texts.reached(each for each in targets if each["state"] == UNREACHED))


def _held(rollout: Rollout, state: str) -> tuple[str, ...]:
    """The workloads that a pause or a stop has come to, while the rollout stands there."""
    if rollout.state not in HELD_IN:
        return ()
    order = rollout.orders.filter(outcome=HONOURED).order_by("pk").last()
    found = (order.reach or {}).get("targets", []) if order and order.kind in HOLDS else []
    return tuple(texts.object_of(each) for each in found if (each["act"], each["state"]) == (HOLD, state))


def troubles_of(rollout: Rollout) -> tuple[StepView, ...]:
    """What went wrong on the way that it goes, for a page that does not steer it."""
    steps = list(rollout.steps.select_related("service").order_by("position", "id"))
    way = Direction.BACK if any(each.direction == Direction.BACK for each in steps) else Direction.FORWARD
    found = [each for each in steps if each.direction == way and each.state in TROUBLED]
    return tuple(_view(each, rollout, frozenset(), way) for each in found if not each.is_warning)


def moving_for(user: User) -> list[Glance]:
    """Rollouts in progress that the person may see, the newest first."""
    found = access.visible(user, Rollout).filter(state__in=[*ACTIVE, RolloutState.PAUSED])
    return _glances(found.select_related("release", "environment").order_by("-pk")[:50])


def latest_of(numbers: Iterable[int]) -> dict[int, Glance]:
    """The newest rollout of each release, by the release's number."""
    found = (
        Rollout.objects.filter(release__in=list(numbers))
        .select_related("release", "environment")
        .order_by("release_id", "-pk")
        .distinct("release_id")
    )
    return {glance.rollout.release_id: glance for glance in _glances(found)}


def what_stays(rollout: Rollout) -> tuple[str, ...]:
    """What a rollback does not undo: Jobs, such as migrations, and restarts."""
    return _stays(rollout.steps.order_by("position", "id"))


def traffic_first(rollout: Rollout) -> bool:
    """Whether a rollback leads the traffic back before all else, to a colour that still stands."""
    return goes_back_at_once(list(rollout.steps.order_by("position", "id")))


def _stays(steps: Iterable[Step]) -> tuple[str, ...]:
    begun = [each for each in steps if each.kind in STAYING and each.intent is not None]
    return tuple(dict.fromkeys(STAYING[each.kind](each) for each in begun))


def way_back(rollout: Rollout) -> list[Json]:
    """What a rollback would restore, in its order: [{"service", "now", "then", "note"}].

    People compare versions; where both are known the images stand in the note.
    """
    items = {item.service_id: item for item in rollout.release.items.all()}
    steps = list(rollout.steps.select_related("service").order_by("position", "id"))
    rows = []
    for step in in_order_of_return(touched(steps)):
        item = items.get(step.service_id or 0)
        now, then = (item.version, str(item.running.get("version") or "")) if item else ("", "")
        for change in net_changes(steps, step):
            name = step.service.name if step.service else step.key
            rows.append({"service": name, **_returning(step, change, now, then)})
    return rows


def _returning(step: Step, change: Json, now: str, then: str) -> Json:
    """One field of the way back: versions for an image where both are known, else the field itself."""
    values = texts.told_apart(change.get("after"), change.get("before"))
    if step.kind != "set_image":
        note = f"{change.get('object', '')} {change.get('field', '')}"
        return {"now": values[0], "then": values[1] or "–", "note": note}
    note = " → ".join(values) if then else ""
    return {"now": now if then else values[0], "then": then or values[1], "note": note}


def _rights(rollout: Rollout, user: User) -> frozenset[str]:
    rights = {right for right in set(RIGHTS.values()) if access.allowed(user, right, rollout)}
    return frozenset(kind for kind, right in RIGHTS.items() if right in rights)


def _replaced(rollout: Rollout, may: frozenset[str]) -> Json:
    """What would put an older state over a newer one, with the reason that says so."""
    newer = queries.replaced_by(rollout) if rollout.state in AT_AN_END else None
    if newer is None:
        return {}
    reason = REPLACED.format(number=newer.release_id)
    return {str(kind): reason for kind in may & GOES_ON if rollout.state in POSSIBLE[kind]}


def _kept_back(rollout: Rollout, may: frozenset[str], steps: Iterable[Step]) -> Json:
    """What would go on forward, and what stands against it: a Job to decide about, or the calendar."""
    waits = OrderKind.RESUME in may and rollout.state in POSSIBLE[OrderKind.RESUME]
    left = {str(OrderKind.RESUME): text} if waits and (text := open_text(steps)) else {}
    return {**left, **_closed(rollout, may)}


def _closed(rollout: Rollout, may: frozenset[str]) -> Json:
    """What would go on forward, and what stands against it: approval, freeze, windows, room."""
    held = may & GOES_FORWARD if rollout.state in {RolloutState.PAUSED, RolloutState.FAILED} else frozenset()
    possible = [kind for kind in held if rollout.state in POSSIBLE[kind]]
    missing = [*_unapproved(rollout), *_not_now(rollout)] if possible else []
    full = str(line.full_text(rollout)) if possible and rollout.state in AT_AN_END else ""
    reason = " ".join(filter(None, [*(str(each["text"]) for each in missing), full]))
    return {str(kind): reason for kind in possible} if reason else {}


def _of_step(step: Step, may: frozenset[str], user: User) -> frozenset[str]:
    """Of what a person may order, what they may order of this step: to restore once more is another right."""
    if not step.is_restore or step.service is None or access.allowed(user, "restore", step.service):
        return may
    return may - {OrderKind.RETRY}


def _unapproved(rollout: Rollout) -> list[Missing]:
    """What no longer holds of the approval, where it paused for that."""
    if (rollout.pause or {}).get("reason") != "approval":
        return []
    missing = release_side.missing_for(rollout.release, after_signoff=is_switching(rollout.steps.all()))
    return [wording.against(each) for each in missing]


def _not_now(rollout: Rollout) -> list[Missing]:
    return [*openings.missing_for(rollout.release), *release_side.owed_for(rollout)]


def _view(step: Step, rollout: Rollout, may: frozenset[str], way: Direction) -> StepView:
    choices = set()
    if step.state in TROUBLED and is_possible(rollout, OrderKind.RETRY, step, way=way):
        choices.add(OrderKind.RETRY)
    if step.state in SKIPPABLE & TROUBLED and rollout.state in POSSIBLE[OrderKind.SKIP]:
        choices.add(OrderKind.SKIP)
    return StepView(
        step=step,
        title=texts.sized_title(step),
        text=_said_beside(step, way),
        failure=worded_in(step.failure),
        cause=texts.cause(step.failure) if step.failure else texts.step_text(step),
        choices=frozenset(str(choice) for choice in choices & may),
        spark=_spark(step),
        gates=() if step.state == StepState.SUCCEEDED else watched.gates_of(step),
        ends_at=watched.ends_at(step),
    )


def _spark(step: Step) -> Spark | None:
    """What was measured so far, where a step measures more than once."""
    points = step.observed.get("points") or []
    return watched.spark_of(points, step.params)


def _said_beside(step: Step, way: Direction) -> str:
    """What is said of a step in its list.

    Of a failure on the way that it goes now, the cluster's own words stand above, in its panel.
    """
    if step.failure and step.state in TROUBLED and step.direction == way and not step.is_warning:
        return texts.cause(step.failure)
    return "" if _said_by_title(step) else texts.step_text(step)


def _said_by_title(step: Step) -> bool:
    return step.state == StepState.SUCCEEDED and step.observed.get("code") in SAID_BY_TITLE


def _glances(rollouts: Iterable[Rollout]) -> list[Glance]:
    rows = list(rollouts)
    numbers = queries.progress_of(rows)
    troubled: dict[int, Step] = {}
    for step in Step.objects.filter(rollout__in=rows, state__in=TROUBLED).select_related("service"):
        if not step.is_warning:
            troubled.setdefault(step.rollout_id, step)
    return [_glance(row, numbers.get(row.pk, queries.NO_STEPS), troubled.get(row.pk)) for row in rows]


def _glance(rollout: Rollout, counted: queries.Progress, trouble: Step | None) -> Glance:
    text = ""
    if trouble is not None:
        name = trouble.service.name if trouble.service else texts.step_title(trouble)
        text = f"{name}: {texts.step_text(trouble)}"
    elif rollout.pause:
        text = texts.pause(rollout.pause)
    return Glance(rollout=rollout, **counted, text=text)
