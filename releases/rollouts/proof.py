"""The proof of one release: who asked, what exactly, who could, who did and saw, what ran, where it stands.

Everything that matters names its entry of the record; portal.audit.verifier checks that the entries say so.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from approvals.digests import digest_of
from approvals.models import Decision, Requirement
from approvals.states import Phase, Verdict
from portal import clock
from portal.audit.readers import may_read
from portal.audit.verifier import PROOF
from portal.outbox.models import Message
from portal.people.models import Delegation, RoleAssignment, User
from releases import queries as release_queries
from releases.models import Check, Release
from releases.rollouts import texts
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.proof_entries import Entries
from releases.rollouts.queries import steps_of
from releases.rollouts.verdicts import verdict_of

Json = dict[str, Any]


def proof_of(release: Release, entries: Entries, *, whole: bool) -> Json:
    """Everything that proves the release (product.md, "Auditor"; attacks.md, section 2).

    Args:
        whole: with the text of each entry, which only readers of the record and those who decided may have.
    """
    carried = list(release.rollouts.order_by("pk"))
    decisions = [_decision(each, entries) for each in release_queries.decisions_of(release)]
    return {
        "proof": PROOF,
        "release": _release(release, entries),
        "answer": _answer(release, decisions, carried),
        "content": release.content,
        "content_digest": release.content_digest,
        "sealed": bool(release.content) and digest_of(release.content) == release.content_digest,
        "policy_version": release.policy_version,
        "requirements": _requirements(release),
        "decisions": decisions,
        "checks": [_check(each, entries) for each in release_queries.checks_of(release)],
        "ignored_breaches": _ignored(entries),
        "rollouts": [_rollout(each, entries) for each in carried],
        "announced": _announced(release, entries),
        "unsigned": entries.unsigned(),
        "removed_up_to": entries.removed_up_to(),
        **entries.as_json(whole=whole),
    }


def may_take(user: User, release: Release) -> bool:
    """Whether the person may have the entries' whole text: who reads the record, and who decided here."""
    return may_read(user) or Decision.objects.filter(request__subject=release.subject, person=user).exists()


def _release(release: Release, entries: Entries) -> Json:
    created, submitted = entries.of_action("release.created"), entries.of_submission()
    return {
        "number": release.number,
        "title": release.title,
        "environment": release.environment.name,
        "state": release.state,
        "grade": release.grade,
        "proposed_grade": release.proposal.get("grade", ""),
        "grade_reason": release.grade_reason,
        "incident": release.incident,
        "barred": _barred(release),
        "author": release.author.username,
        "contributors": sorted(user.username for user in release.contributors.all()),
        "submitted_by": submitted.actor if submitted else None,
        "created_entry": created.number if created else None,
        "submitted_entry": submitted.number if submitted else None,
        "created_at": release.created_at,
        "submitted_at": release.submitted_at,
        "approved_at": release.approved_at,
        "ended_at": release.ended_at,
    }


def _answer(release: Release, decisions: Iterable[Json], rollouts: Sequence[Rollout]) -> Json:
    """Who approved it, of what exactly, and did exactly that run?"""
    counted = [each for each in decisions if each["verdict"] == Verdict.APPROVE and not each["revoked_at"]]
    request = release.approval_request_id
    mine = [each for each in counted if each["request"] == request]
    return {
        "approved_by": [each for each in mine if each["phase"] != Phase.SIGNOFF],
        "signed_off_by": [each for each in mine if each["phase"] == Phase.SIGNOFF],
        "same_content": all(each["digest"] == release.content_digest for each in mine),
        "ran": verdict_of(rollouts[-1]).ran if rollouts else "nothing",
    }


def _requirements(release: Release) -> list[Json]:
    """The rows that were asked for, with who could fill them when the request was settled, or can now."""
    request = release.approval_request
    if request is None:
        return []
    met = {row.id: row for row in release_queries.requirements_of(release) if row.id is not None}
    barred = set(_barred(release))
    found = []
    for stored in request.requirements.order_by("pk"):
        shown = met.get(stored.pk)
        could = _holders_at(stored, request.settled_at) - barred
        found.append(
            {
                "id": stored.pk,
                "phase": stored.phase,
                "role": stored.role,
                "scope": stored.scope,
                "count": stored.count,
                "because": stored.because,
                "climbed": stored.climbed,
                "met_by": [user.username for user in shown.met_by] if shown else [],
                "could": sorted(could),
                "could_for": _stand_ins_at(stored, request.settled_at, could, barred),
            }
        )
    return found


def _barred(release: Release) -> list[str]:
    request = release.approval_request
    return sorted(request.barred.values_list("username", flat=True)) if request else []


def _stand_ins_at(row: Requirement, at: datetime | None, could: set[str], barred: set[str]) -> list[Json]:
    """Who could decide for one of these by a delegation that was in force then, or is now."""
    given = Delegation.objects.filter(giver__username__in=could).select_related("giver", "taker")
    moment = at or clock.now()
    given = given.filter(Q(ended_at=None) | Q(ended_at__gt=moment), made_at__lte=moment)
    return [
        {"person": each.taker.username, "on_behalf_of": each.giver.username}
        for each in given.filter(starts_at__lte=moment, ends_at__gt=moment).order_by("pk")
        if [each.role, each.scope] in row.accepted and each.taker.username not in barred
    ]


def _holders_at(row: Requirement, at: datetime | None) -> set[str]:
    """Who held one of the accepted roles then; now, where nothing is settled yet."""
    fits = Q(pk__in=[])
    for role, scope in row.accepted:
        fits |= Q(role=role, scope=scope)
    held = RoleAssignment.objects.filter(fits)
    if at is None:
        held = held.filter(revoked_at=None, user__is_active=True)
    else:
        held = held.filter(Q(revoked_at=None) | Q(revoked_at__gt=at), granted_at__lte=at)
    return set(held.values_list("user__username", flat=True))


def _decision(decision: Decision, entries: Entries) -> Json:
    return {
        "id": decision.pk,
        "request": decision.request_id,
        "round": decision.request.round,
        "phase": decision.phase,
        "verdict": decision.verdict,
        "person": decision.person.username,
        "on_behalf_of": decision.on_behalf_of.username if decision.on_behalf_of else None,
        "capacities": decision.capacities,
        "digest": decision.content_digest,
        "reason": decision.reason,
        "door": decision.door,
        "at": decision.decided_at,
        "revoked_at": decision.revoked_at,
        "revoked_entry": entries.of_subject("decision", decision.pk, "decision.revoked"),
        "answer": decision.answer,
        "answered_by": decision.answered_by.username if decision.answered_by else None,
        "answered_at": decision.answered_at,
        "answer_entry": entries.of_subject("decision", decision.pk, "objection.answered"),
        "entry": entries.of_subject("decision", decision.pk, f"decision.{decision.verdict}"),
    }


def _check(check: Check, entries: Entries) -> Json:
    return {
        "id": check.pk,
        "phase": check.phase,
        "text": check.text,
        "role": check.role,
        "required": check.required,
        "result": check.result,
        "evidence": check.evidence,
        "by": check.answered_by.username if check.answered_by else None,
        "at": check.answered_at,
        "entry": entries.find("check", check.pk),
    }


def _ignored(entries: Entries) -> list[Json]:
    """Every breach that somebody let pass, from the record: the gate forgets it once it is green again."""
    found = []
    for row in entries.rows:
        if row.action == "gate.ignored":
            body = entries.bodies[row.number]
            found.append(
                {
                    "gate": texts.gate_name(body["after"]),
                    "breach": body["after"]["breach"],
                    "seen": texts.measured(body["after"]["observed"]),
                    "since": body["before"]["since"],
                    "by": row.actor,
                    "at": row.at,
                    "reason": body["reason"],
                    "entry": row.number,
                }
            )
    return found


def _rollout(rollout: Rollout, entries: Entries) -> Json:
    steps = [_step(each, entries) for each in steps_of(rollout)]
    told = [entry for each in steps if (entry := each.pop("verdict_entry")) is not None]
    return {
        "id": rollout.pk,
        "state": rollout.state,
        "started_by": rollout.started_by.username if rollout.started_by else None,
        "content_digest": rollout.content_digest,
        "queued_at": rollout.queued_at,
        "started_at": rollout.started_at,
        "ended_at": rollout.ended_at,
        "started_entry": entries.of_subject("rollout", rollout.pk, "rollout.queued"),
        "entry": entries.find("rollout", rollout.pk, state=rollout.state),
        "orders": [_order(each, entries) for each in rollout.orders.select_related("by")],
        "steps": steps,
        "verdict": rollout.verdict,
        "verdict_entry": max(told, default=None),
    }


def _step(step: Step, entries: Entries) -> Json:
    return {
        "id": step.pk,
        "key": step.key,
        "title": texts.step_title(step),
        "service": step.service.name if step.service else "",
        "direction": step.direction,
        "state": step.state,
        "attempt": step.attempt,
        "changes": (step.planned or {}).get("changes") or [],
        "plan": texts.planned(step),
        "called": step.acted,
        "called_at": step.acted_at,
        "call_entry": entries.of_subject("step", step.pk, "step.acted"),
        "observed": texts.observed(step.observed),
        "failure": texts.failure(step.failure) if step.failure else "",
        "reason": step.reason,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
        "entry": entries.find("step", step.pk, state=step.state),
        "verdict_entry": entries.find("step", step.pk, verdict=...),
    }


def _order(order: Order, entries: Entries) -> Json:
    return {
        "id": order.pk,
        "kind": order.kind,
        "by": order.by.username if order.by else None,
        "reason": order.reason,
        "asked_at": order.asked_at,
        "honoured_at": order.honoured_at,
        "outcome": order.outcome,
        "entry": entries.of_subject("order", order.pk, "order.asked"),
    }


def _announced(release: Release, entries: Entries) -> Json:
    act = entries.of_action("release.announced")
    keys = Q(key__startswith=f"release.{release.number}.")
    for pk in release.rollouts.values_list("pk", flat=True):
        keys |= Q(key__startswith=f"rollout.{pk}.")
    messages = Message.objects.filter(keys).order_by("pk")
    return {
        "text": entries.bodies[act.number]["after"].get("text") if act else None,
        "by": act.actor if act else None,
        "at": act.at if act else None,
        "entry": act.number if act else None,
        "messages": [
            {"to": each.recipient, "subject": each.subject, "state": each.state, "sent_at": each.sent_at}
            for each in messages
        ],
    }
