"""Measuring on while a person is awaited; letting a breach pass (product.md, "A release's life")."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from approvals import operations
from approvals import queries as approval_queries
from approvals.states import Phase
from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, NotFound
from portal.jobs import enqueue
from portal.live.publish import publish
from portal.statements import Given, Question
from releases import gates, notices, queries
from releases.catalog.checks import OF_A_SERVICE
from releases.catalog.models import Service
from releases.guards import require_deploy, require_scope
from releases.models import Check, CheckPhase, Gate, GateResult, Release
from releases.observations import facts_of
from releases.operations.checks import answer_by_portal
from releases.operations.locking import act, require_state
from releases.operations.waking import wake
from releases.states import ReleaseState

# Longer than any measurement lasts: one that was begun and never written is begun anew after it.
CLAIM = timedelta(seconds=60)
# What one worker left is offered to the others after it.
LEFT = timedelta(seconds=2)
KEPT_RESULTS = 20
MEASURE = "releases.rollouts.jobs.measure"
MOST_AT_ONCE = 200
# Asked once a second.
_DUE = Question(
    lambda: (
        gates.measured_now()
        .only("pk")
        .filter(due_at__lte=Given("now"))
        .order_by("due_at")
        .select_for_update(of=("self",), skip_locked=True)[:MOST_AT_ONCE]
    )
)


def open_gates(release: Release, measurements: Iterable[Gate]) -> None:
    """Measure these from now on while the locked release waits for its sign-off; what is there already stays.

    Args:
        measurements: unsaved, with what was seen of them so far.
    """
    now = clock.now()
    opened = list(measurements)
    for gate in opened:
        gate.release, gate.due_at = release, now
        if gate.measured_at is not None:
            gate.history = [{"at": gate.measured_at.isoformat(), "result": gate.result}]
    Gate.objects.bulk_create(opened, ignore_conflicts=True)


def measure_items(release: Release, items: Sequence[tuple[Check, Mapping[str, Any]]]) -> None:
    """Have items of a submitted checklist measured again and again, each by its document in the catalog.

    Those of a later phase are due as soon as it comes.
    """
    asked = {document["service"] for _check, document in items if document["kind"] in OF_A_SERVICE}
    services = Service.objects.in_bulk(asked, field_name="name") if asked else {}
    now = clock.now()
    made = Gate.objects.bulk_create(
        Gate(
            release=release,
            item=check,
            key=f"check.{check.position}",
            position=check.position,
            kind=document["kind"],
            params={name: value for name, value in document.items() if name != "kind"},
            service=services.get(document["service"]) if document["kind"] in OF_A_SERVICE else None,
            due_at=now + CLAIM if check.phase == CheckPhase.BEFORE else now,
        )
        for check, document in items
    )
    for gate in made:
        if gate.due_at > now:
            enqueue(MEASURE, gate.pk)


def claim_due() -> list[int]:
    """Take up to MOST_AT_ONCE gates whose time has come, so that no other sweeper takes them as well."""
    with transaction.atomic():
        now = clock.now()
        found = [gate.pk for gate in _DUE.ask(now=now)]
        if found:
            Gate.objects.filter(pk__in=found).update(due_at=now + CLAIM)
    return found


def leave_measurement(gate_id: int, *, claim: datetime) -> None:
    """Give back what the caller has claimed and cannot measure: others find it in a moment."""
    Gate.objects.filter(pk=gate_id, due_at=claim).update(due_at=clock.now() + LEFT)


def write_measurement(gate_id: int, seen: gates.Seen, *, claim: datetime, actor: Actor) -> Gate | None:
    """Keep what was measured; only a change of the result is recorded, published and told.

    Args:
        claim: `due_at` as it stood when the measurement began; None is returned and nothing written where
            somebody has measured since, or the release waits no more.
    """
    with transaction.atomic():
        gate = _lock(gate_id, claim)
        if gate is None:
            return None
        release, before, now = gate.release, gate.result, clock.now()
        is_new = _put(gate, seen, now)
        gate.due_at = now + gates.interval_of(release)
        gate.save()
        if gate.result == before:
            return gate
        if gate.item is not None:
            answer_by_portal(gate, release, actor=actor)
            return gate
        _record(f"gate.{gate.result}", gate, actor=actor, before={"result": before})
        if is_new:
            notices.tell_breach(release, gate)
        wake(release)
        return gate


def ignore_breach(number: int, gate_id: int, *, actor: Actor, reason: str, breach: int) -> Gate:
    """Let one breach pass with a reason, as somebody who could sign the result off; the next one asks again.

    Args:
        breach: which of the gate's breaches the person saw.

    Raises:
        NotFound: no such gate in this release.
        Invalid: the reason is missing.
        Conflict: not awaiting the sign-off; `stale_breach`: green again, or breached anew since;
            `already_decided`: somebody has let it pass.
        NotAllowed: the person could not sign off.
    """
    with act(number, actor=actor) as release:
        gate = release.gates.select_for_update(of=("self",)).filter(pk=gate_id, item=None).first()
        if gate is None:
            raise NotFound
        operations.check_reason(reason)
        require_state(release, {ReleaseState.AWAITING_SIGNOFF})
        if gate.breached_at is None or gate.breaches != breach:
            raise Conflict(
                _("This breach is over. Look at what is measured now, then decide."), code="stale_breach"
            )
        _require_signer(release, actor)
        if gate.ignored_at is not None:
            raise Conflict(_("Somebody has let this breach pass already."), code="already_decided")
        gate.ignored_at, gate.ignored_by, gate.ignored_reason = clock.now(), actor.user, reason
        gate.save(update_fields=["ignored_at", "ignored_by", "ignored_reason"])
        before = {"since": gate.breached_at.isoformat()}
        _record("gate.ignored", gate, actor=actor, before=before, reason=reason)
        notices.touch_deciders(release)
        wake(release)
        return gate


def _lock(gate_id: int, claim: datetime) -> Gate | None:
    """The gate under lock, its release first; None where it is no more to be written."""
    around = ("environment", "plan", "author", "approval_request")
    releases = Release.objects.select_for_update(of=("self",)).select_related(*around)
    release = releases.filter(gates=gate_id).first()
    wanted = gates.measured_now().filter(pk=gate_id, due_at=claim)
    gate = wanted.select_for_update(of=("self",)).select_related("service", "item").first()
    if gate is not None and release is not None:
        gate.release = release
    return gate


def _put(gate: Gate, seen: gates.Seen, now: datetime) -> bool:
    """Set what was seen, unsaved; True where a breach began by it.

    What could not be measured neither begins a breach nor ends one: that takes a good measurement.
    """
    if seen.result != gate.result:
        gate.since = now
    gate.result, gate.observed, gate.measured_at = seen.result, seen.observed, now
    gate.history = [*gate.history, {"at": now.isoformat(), "result": str(seen.result)}][-KEPT_RESULTS:]
    if seen.result == GateResult.PASSED:
        gate.breached_at = gate.ignored_at = gate.ignored_by = None
        gate.ignored_reason = ""
    if seen.result != GateResult.BREACHED or gate.breached_at is not None:
        return False
    gate.breached_at = now
    gate.breaches += 1
    return True


def _require_signer(release: Release, actor: Actor) -> None:
    """Raise unless the person could sign off; where nobody is asked to, who may announce can let it pass."""
    require_scope(actor, "decide")
    request = release.approval_request
    if request is None or not approval_queries.standing(request).phase(Phase.SIGNOFF):
        require_deploy(actor, release)
        return
    if actor.user is None:
        raise operations.refusals.not_entitled()
    code = queries.stance(release, actor.user, phase=Phase.SIGNOFF).code
    if code == "self_approval":
        raise operations.refusals.self_approval()
    if code not in {"", "already_decided"}:
        raise operations.refusals.not_entitled()


def _record(action: str, gate: Gate, *, actor: Actor, before: dict[str, str], reason: str = "") -> None:
    """Write down what has changed of a gate, and tell the streams of its release and rollout."""
    release = gate.release
    facts = {**facts_of(gate), "breach": gate.breaches}
    record(
        action,
        actor=actor,
        subject=("gate", str(gate.pk)),
        before=before,
        after={**facts, "result": gate.result, "observed": gate.observed},
        reason=reason,
        content_digest=release.content_digest,
        release=release.number,
        service=gate.service.name if gate.service else "",
    )
    told = {**facts, "gate": gate.pk, "by": actor.name, "reason": reason}
    for topic in (release.topic, *_rollout_topics(release)):
        publish(topic, action, {**told, "observed": gate.observed})


def _rollout_topics(release: Release) -> list[str]:
    newest = release.rollouts.order_by("-pk").values_list("pk", flat=True)[:1]
    return [f"rollout.{pk}" for pk in newest]
