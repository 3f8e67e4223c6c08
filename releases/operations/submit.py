"""Submitting: images are pinned anew, facts recomputed, rows and checks copied, older releases superseded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

from approvals import grades, operations, policy
from approvals import queries as approval_queries
from portal import access, clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, NotAllowed, NotFound, PermanentError, field_error
from portal.live.publish import publish
from releases import notices, proposal, queries, wording
from releases.completeness import require_complete
from releases.models import Check, CheckPhase, Item, Release
from releases.operations.apply import grade_and_seal, templates_for
from releases.operations.composition import ComposedItem, pinned
from releases.operations.gates import measure_items
from releases.operations.locking import act, require_compose, require_state
from releases.operations.moving import move_release
from releases.operations.operate import as_it_runs
from releases.operations.supersede import supersede_older, warn_of_overlap
from releases.states import ReleaseState
from releases.together import Together, looks_like_one

FROM = frozenset({ReleaseState.DRAFT, ReleaseState.SENT_BACK})


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A tag that names another image than when the release was composed."""

    service: str
    version: str
    before: str
    after: str


def submit_release(number: int, *, actor: Actor) -> Release:
    """Seal the release and ask for its approvals; grade E may start at once instead.

    Raises:
        NotFound: no such release, or the person may not see it.
        Invalid: something is missing in the draft, or a version is gone.
        Conflict: not a draft, or `unfulfillable`: nobody can meet a row, whose role is named.
        NotAllowed: the person may not compose one of the services.
        TemporaryError: the registry does not answer.
    """
    if actor.user is None:
        raise NotAllowed
    seen = access.get_or_404(actor.user, Release, number=number)
    answers = _ask_registry(seen) if seen.state in FROM else {}
    with act(number, actor=actor) as release:
        _require_complete(release)
        require_state(release, FROM)
        require_compose(actor, [item.service for item in release.items.select_related("service")])
        moved = _pin(release, answers)
        _seal(release, actor=actor)
        _require_complete(release)
        _open(release, moved, actor=actor)
        return release


def _require_complete(release: Release) -> None:
    if release.state in FROM:
        require_complete(release)


def _ask_registry(release: Release) -> Mapping[tuple[int, str], ComposedItem]:
    """What every version means now, asked before anything is locked.

    What was carried stays as it is; the version of an operation is what runs.
    """
    if release.operation:
        return {
            (item.service_id, item.version): as_it_runs(item.service, release.environment)
            for item in release.items.select_related("service")
        }
    answers = {}
    faults = []
    carried = _carried(release)
    for number, item in enumerate(release.items.select_related("service")):
        if (item.service_id, item.version, item.digest) in carried:
            answers[item.service_id, item.version] = _as_it_is(item)
            continue
        draft = ComposedItem(service=item.service, version=item.version, image="", digest="", accepted=())
        try:
            answers[item.service_id, item.version] = pinned(draft)
        except (NotFound, Invalid, PermanentError) as error:
            text = _("{service} has no version {version}.")
            found = text.format(service=item.service.name, version=item.version)
            faults.append(field_error(f"items.{number}.version", error.detail or found))
    if faults:
        raise Invalid(missing=faults)
    return answers


def _carried(release: Release) -> set[tuple[int, str, str]]:
    if release.carried_from is None:
        return set()
    return set(release.carried_from.items.values_list("service_id", "version", "digest"))


def _as_it_is(item: Item) -> ComposedItem:
    return ComposedItem(
        service=item.service,
        version=item.version,
        image=item.image,
        digest=item.digest,
        accepted=tuple(item.accepted),
        commit=item.commit,
        image_authors=item.image_authors,
    )


def _pin(release: Release, answers: Mapping[tuple[int, str], ComposedItem]) -> list[Moved]:
    """Write what the registry said into the items; an item it was not asked about came in meanwhile."""
    moved = []
    for item in release.items.select_related("service"):
        answer = answers.get((item.service_id, item.version))
        if answer is None:
            raise operations.refusals.stale_digest()
        if item.digest != answer.digest:
            moved.append(
                Moved(
                    service=item.service.name,
                    version=item.version,
                    before=item.digest,
                    after=answer.digest,
                )
            )
        _write_pin(item, answer, release)
    return moved


def _write_pin(item: Item, answer: ComposedItem, release: Release) -> None:
    item.version = answer.version
    item.image, item.digest, item.commit = answer.image, answer.digest, answer.commit
    item.accepted, item.image_authors = list(answer.accepted), answer.image_authors
    item.running = proposal.running_of(item.service, release.environment)
    fields = ["version", "image", "digest", "commit", "accepted", "image_authors", "running"]
    item.save(update_fields=fields)


def _seal(release: Release, *, actor: Actor) -> None:
    """Recompute proposal and content; a grade that followed the proposal follows it still.

    What was sealed stands in the record: approvals name its digest only.
    """
    before = release.content_digest
    followed = release.grade == release.proposal.get("grade")
    if grade_and_seal(release, chosen=None if followed else release.grade):
        record(
            "release.edited",
            actor=actor,
            subject=("release", str(release.number)),
            before={"digest": before},
            after={"content": release.content, "digest": release.content_digest},
            reason=_("Sealed anew at the submission."),
            content_digest=release.content_digest,
            release=release.number,
        )


def _open(release: Release, moved: list[Moved], *, actor: Actor) -> None:
    version = approval_queries.current_policy()
    barred = proposal.barred_from(release)
    rows = queries.rows_for(release, version)
    _require_fulfillable(release, rows)
    rules = approval_queries.grade_policy(version, release.grade)
    now = clock.now()
    release.approval_request = operations.open_request(
        release.subject,
        grade=release.grade,
        policy=version,
        content_digest=release.content_digest,
        rows=rows,
        barred=barred,
        actor=actor,
        deadline_at=_after(now, rules.deadline_hours),
        expires_at=_after(now, rules.expires_hours),
        watched_since=release.created_at,
        filed_under=release.number,
    )
    _copy_checks(release)
    together = looks_like_one(release)
    release.submitted_at, release.approved_at = now, None
    is_emergency = release.grade == grades.EMERGENCY
    state = ReleaseState.SUBMITTED if is_emergency else ReleaseState.IN_REVIEW
    _move(release, state, moved, together, actor=actor)
    supersede_older(release, actor=actor)
    warn_of_overlap(release)
    notices.tell_submitted(release, rows)
    if not rows:
        _approve_unasked(release, actor=actor)


def _approve_unasked(release: Release, *, actor: Actor) -> None:
    """Nobody is asked in an environment that is not protected (product.md, "A release's life")."""
    release.approved_at = clock.now()
    reason = _("This environment asks for no approval.")
    move_release(release, ReleaseState.APPROVED, actor=actor, reason=reason, fields=["approved_at"])


def _move(
    release: Release, state: str, moved: list[Moved], together: Together | None, *, actor: Actor
) -> None:
    told = [{"service": m.service, "version": m.version, "before": m.before, "after": m.after} for m in moved]
    data: dict[str, Any] = {"moved_tags": told} if told else {}
    if together is not None:
        data["looks_like_one"] = together.as_data()
    move_release(
        release,
        state,
        actor=actor,
        fields=["approval_request", "submitted_at", "approved_at"],
        data=data,
    )
    for entry in told:
        publish(release.topic, "release.tag_moved", entry)


def _after(now: datetime, hours: float | None) -> datetime | None:
    return now + timedelta(hours=hours) if hours else None


def _require_fulfillable(release: Release, rows: list[policy.RequiredRow]) -> None:
    """Grade E is never refused for want of a reviewer: it goes first, and administrators are told."""
    lacking = [] if release.grade == grades.EMERGENCY else policy.missing(rows)
    if lacking:
        raise Conflict(
            _("Nobody can approve this. Have the missing role given to somebody, then submit again."),
            code="unfulfillable",
            title=_("A role is missing"),
            missing=[wording.missing_row(row) for row in lacking],
        )


def _copy_checks(release: Release) -> None:
    """Replace the checklist by the templates' present items; old ticks were about another round."""
    release.checks.all().delete()
    items = [item for template in templates_for(release) for item in template.spec.get("items", [])]
    checks = Check.objects.bulk_create(
        Check(
            release=release,
            phase=item.get("phase", CheckPhase.BEFORE),
            position=position,
            text=item["text"],
            role=item.get("role", ""),
            kind="machine" if "check" in item else "person",
            required=item.get("required", True),
        )
        for position, item in enumerate(items)
    )
    measured = [(check, item["check"]) for check, item in zip(checks, items, strict=True) if "check" in item]
    measure_items(release, measured)
