"""Starting a rollout and giving it orders: the only ways in, whatever the door."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from portal import access, clock, trace
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, NotFound, field_error
from portal.jobs import enqueue
from portal.live.publish import publish, touch
from portal.sentences import Text, sentence
from portal.words import check_words
from releases import openings, start
from releases.catalog.models import Environment, Service
from releases.models import Release
from releases.operating import concerned, is_restore, plan_of
from releases.operations.locking import act, noting_refusals, require_scope
from releases.operations.schedule import require_due
from releases.rollouts import line, pins, release_side, repeats
from releases.rollouts.events import by
from releases.rollouts.graph import Node, build_graph
from releases.rollouts.members import Member
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.orders import is_closed, is_possible, left_open
from releases.rollouts.queries import replaced_by
from releases.rollouts.states import ACTIVE, GOES_ON, MOVING, Direction, OrderKind, RolloutState
from releases.states import ReleaseState

ADVANCE = "releases.rollouts.jobs.advance"
# Who may give which order: stopping is wide by policy, everything else is not.
RIGHTS = {
    OrderKind.PAUSE: "stop",
    OrderKind.STOP: "stop",
    OrderKind.RESUME: "operate",
    OrderKind.RETRY: "operate",
    OrderKind.SKIP: "operate",
    OrderKind.ROLLBACK: "operate",
}
# These begin something on the way forward that stood, and ask the calendar as a start does.
GOES_FORWARD = frozenset({OrderKind.RESUME, OrderKind.RETRY, OrderKind.SKIP})
AT_AN_END = frozenset(
    {RolloutState.FAILED, RolloutState.STOPPED, RolloutState.SUCCEEDED, RolloutState.ROLLBACK_FAILED}
)
REPLACED = _("Release #{number} has changed these services since; it would have to be rolled back first.")
RESTORE_OPEN = _(
    "Resuming does not restore a database once more. "
    "Look into it; then skip the step and say why, or retry it to restore again."
)
JOB_OPEN = _(
    "Resuming does not run a Job once more. "
    "Look whether its work is done; then skip the step and say why, or retry it to run it again."
)
NEEDS_STEP = frozenset({OrderKind.RETRY, OrderKind.SKIP})
OPEN = [*sorted(ACTIVE), RolloutState.PAUSED, RolloutState.FAILED]


def start_rollout(number: int, *, actor: Actor, due: datetime | None = None, confirmed: str = "") -> Rollout:
    """Create the rollout of a release with its whole graph of steps, and nudge the engine.

    Args:
        due: the time for which it was scheduled, where that is why it starts.
        confirmed: the service's name as the person typed it, where a database is restored.

    Raises:
        NotFound, NotAllowed, Conflict: what `releases.start.require_startable` finds, all of it together, and
            code "queue" where it would have to wait: see `queueing.ask_start`.
        Invalid: the plan does not fit the release, or a restore is not confirmed.
    """
    with act(number, actor=actor, refused="release.start_refused") as release:
        if due is not None:
            require_due(release, due)
        return begin(release, actor=actor, queued_behind=line.waits_text(release), confirmed=confirmed)


def begin(
    release: Release,
    *,
    actor: Actor,
    queued_behind: Text = "",
    confirmed: str = "",
    asked_at: datetime | None = None,
) -> Rollout:
    """Begin the rollout of a locked release, if nothing stands against it.

    Args:
        asked_at: when it was put into the line, where it waited for its turn.
        queued_behind: what has its services or its room there; found by the caller.
        confirmed: as for a start.

    Raises:
        NotAllowed, Conflict, Invalid: as for a start.
    """
    pinned = pins.missing_for(release, actor=actor, asked_at=asked_at)
    start.require_startable(release, actor=actor, queued_behind=queued_behind, also=pinned)
    if is_restore(release):
        service = release.items.select_related("service").get().service
        _require_confirmed(service, actor=actor, confirmed=confirmed)
    rollout = _create(release, actor=actor)
    openings.note_passage(release, actor=actor, windows_too=True)
    release_side.follow(release, ReleaseState.ROLLING_OUT, actor=actor)
    touch(f"board.{release.environment.name}")
    enqueue(ADVANCE, rollout.pk)
    return rollout


def _require_confirmed(service: Service, *, actor: Actor, confirmed: str) -> None:
    """A restore asks again, and takes its own right again, each time it begins (product.md, "Decisions")."""
    access.require(actor, "restore", service)
    if confirmed.strip() != service.name:
        text = sentence(_("Type {name} to restore its database."), name=service.name)
        raise Invalid(missing=[field_error("confirm", text)])


def give_order(
    rollout_id: int,
    kind: str,
    *,
    actor: Actor,
    reason: str = "",
    step_id: int | None = None,
    confirmed: str = "",
) -> Order:
    """Write down what a person asks; the engine honours it and reports, also that it was so already.

    Args:
        confirmed: as for a start, where a step that restores a database is retried.

    Raises:
        NotFound: no such rollout or step, or the person may not see it.
        NotAllowed: the person has not the right this kind of order needs, or may not restore.
        Invalid: a skip without its reason, a reason with control characters, or a restore is not confirmed.
        Conflict: the rollout stands where this is not possible.
    """
    number = Rollout.objects.filter(pk=rollout_id).values_list("release", flat=True).first()
    with noting_refusals(number, actor=actor, action="order.refused"), transaction.atomic():
        rollout = _locked(rollout_id, environment_too=kind in GOES_ON)
        require_order(actor, kind, rollout)
        step = _step(rollout, step_id) if kind in NEEDS_STEP else None
        if kind == OrderKind.RETRY and step is not None and step.is_restore:
            assert step.service is not None
            _require_confirmed(step.service, actor=actor, confirmed=confirmed)
        check_words(reason)
        if not repeats.is_so(rollout, kind, way=repeats.way_of(rollout)):
            _require_possible(rollout, kind, reason=reason, step=step)
        order = Order.objects.create(
            rollout=rollout,
            kind=kind,
            step=step,
            by=actor.user,
            door=actor.door,
            reason=reason,
            trace=trace.current(),
            asked_at=clock.now(),
        )
        # By this count the engine knows, under the row's lock, that there is an order to read.
        rollout.nudges += 1
        rollout.save(update_fields=["nudges"])
        data = {"order": order.pk, "kind": kind, "step": step_id}
        subject = ("order", str(order.pk))
        record(
            "order.asked", actor=actor, subject=subject, after=data, reason=reason, release=rollout.release_id
        )
        publish(rollout.topic, "rollout.order_asked", {**data, **by(actor), "reason": reason})
        enqueue(ADVANCE, rollout.pk)
    return order


def require_order(actor: Actor, kind: str, rollout: Rollout) -> None:
    """Raise unless the person may give an order of this kind."""
    if kind not in RIGHTS:
        raise NotFound
    # The right first: to who may not see it, a narrow token's refusal would say that it is there.
    access.require(actor, RIGHTS[OrderKind(kind)], rollout)
    require_scope(actor, "operate")


def members_of(release: Release) -> list[Member]:
    """Return the services of a release as the graph needs them."""
    items = release.items.select_related("service").order_by("position", "id")
    return [
        Member(name=item.service.name, spec=concerned(release.operation, item.service.spec)) for item in items
    ]


def graph_of(release: Release) -> list[Node]:
    """Return the steps that a rollout of this release has.

    Raises:
        Invalid: there is no plan, or it does not fit.
    """
    if release.plan is None and not release.operation:
        raise Invalid(missing=[field_error("plan", _("There is no plan for this environment."))])
    return build_graph(plan_of(release), members_of(release))


def _create(release: Release, *, actor: Actor) -> Rollout:
    nodes = graph_of(release)
    minutes = plan_of(release).get("expectedMinutes") or 30
    now = clock.now()
    try:
        with transaction.atomic():
            rollout = Rollout.objects.create(
                release=release,
                environment=release.environment,
                started_by=actor.user,
                content_digest=release.content_digest,
                expected_seconds=int(minutes) * 60,
                queued_at=now,
                wake_at=now,
                trace=trace.current(),
            )
    except IntegrityError as error:
        raise Conflict(_("A rollout of this release is not over yet.")) from error
    write_steps(rollout, nodes)
    # What nobody may pass has refused it by now.
    pins.lift_for(release)
    subject = ("rollout", str(rollout.pk))
    digest = release.content_digest
    record("rollout.queued", actor=actor, subject=subject, release=release.number, content_digest=digest)
    publish(rollout.topic, "rollout.queued", {"release": release.number, **by(actor), "steps": len(nodes)})
    return rollout


def write_steps(rollout: Rollout, nodes: Sequence[Node]) -> None:
    """Write the graph's rows."""
    names = {node.service for node in nodes if node.service}
    services = {each.name: each for each in Service.objects.filter(name__in=names)}
    steps = Step.objects.bulk_create(step_of(node, rollout, services) for node in nodes)
    keys = {step.key: step.pk for step in steps}
    through = Step.depends_on.through
    through.objects.bulk_create(
        through(from_step_id=keys[node.key], to_step_id=keys[earlier])
        for node in nodes
        for earlier in node.depends_on
    )


def step_of(node: Node, rollout: Rollout | None, services: dict[str, Service]) -> Step:
    """Return the row of a node, not yet saved."""
    return Step(
        rollout=rollout,
        key=node.key,
        kind=node.kind,
        service=services.get(node.service),
        wave=node.wave,
        wave_title=node.wave_title,
        position=node.position,
        params=node.params,
        timeout_seconds=node.timeout_seconds,
    )


def _locked(rollout_id: int, *, environment_too: bool) -> Rollout:
    """Return the locked rollout, its release locked before it.

    Args:
        environment_too: lock that first of all, as a start does; a stop waits for nobody there.
    """
    found = Rollout.objects.filter(pk=rollout_id).values_list("environment", flat=True).first()
    if found is None:
        raise NotFound
    if environment_too:
        Environment.objects.select_for_update(no_key=True).get(pk=found)
    Release.objects.select_for_update(of=("self",)).get(rollouts=rollout_id)
    rollouts = Rollout.objects.select_for_update(of=("self",)).select_related("release", "environment")
    return rollouts.get(pk=rollout_id)


def _step(rollout: Rollout, step_id: int | None) -> Step:
    step = rollout.steps.filter(pk=step_id or 0).first()
    if step is None:
        raise NotFound
    return step


def _require_possible(rollout: Rollout, kind: str, *, reason: str, step: Step | None = None) -> None:
    if kind == OrderKind.SKIP and not reason.strip():
        raise Invalid(missing=[field_error("reason", _("Say why this step is skipped."))])
    way = repeats.way_of(rollout)
    if not is_possible(rollout, kind, step, way=way):
        text = _("The rollout is {state}; this is not possible from there.")
        raise Conflict(sentence(text, state=RolloutState(rollout.state).label))
    if kind == OrderKind.RESUME and way == Direction.FORWARD and (left := open_text(rollout.steps.all())):
        raise Conflict(left)
    goes_forward = kind in GOES_FORWARD and rollout.state not in MOVING and way == Direction.FORWARD
    if kind in GOES_ON and rollout.state in AT_AN_END:
        _require_free(rollout)
        # A way back needs no room: nothing may keep it from being gone. One that is paused has its room.
        if goes_forward and (full := line.full_text(rollout)):
            raise Conflict(full, code="queue")
    if goes_forward:
        start.refuse([*openings.missing_for(rollout.release), *release_side.owed_for(rollout)])


def open_text(steps: Iterable[Step]) -> Text:
    """That a resume would do once more what a person has to decide about, in words; "" where it would not."""
    step = left_open(steps)
    if step is None:
        return ""
    return RESTORE_OPEN if step.is_restore else JOB_OPEN


def refusal_of(rollout: Rollout, kind: str) -> Conflict | None:
    """Return what stands against an order for the whole rollout now, rights aside."""
    try:
        _require_possible(rollout, kind, reason="")
    except Conflict as error:
        return error
    return None


def _require_free(rollout: Rollout) -> None:
    """Raise where its release is over, or another rollout has its services now or has changed them since."""
    release = rollout.release
    if is_closed(rollout):
        text = _("The release is {state}; this is not possible from there.")
        raise Conflict(sentence(text, state=ReleaseState(release.state).label))
    other = line.busy_text(release)
    if other:
        text = _("Another rollout of these services is not over: {name}.")
        raise Conflict(sentence(text, name=other), code="queue")
    newer = replaced_by(rollout)
    if newer is not None:
        raise Conflict(REPLACED.format(number=newer.release_id))
