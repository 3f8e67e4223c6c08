"""What people do about a finding: adopt what runs, explain it, or have what was approved put back."""

from contextlib import suppress

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal import access, clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, NotAllowed, NotFound, PermanentError, field_error
from portal.live.publish import touch
from portal.transitions import move
from portal.ui.looks import role_entry
from portal.words import check_words
from releases.catalog import versions
from releases.catalog.models import Running, Service
from releases.models import Item, Release
from releases.operations.composition import compose
from releases.operations.create import store
from releases.operations.locking import noting_refusals, require_compose, require_scope
from releases.rollouts import queries
from releases.rollouts.findings import notices
from releases.rollouts.findings.comparing import expect_seen
from releases.rollouts.findings.differences import OF_IMAGES, differences, mark_of, read
from releases.rollouts.findings.people import FIRST, deciders_of
from releases.rollouts.findings.wording import in_short
from releases.rollouts.models import Finding, Rollout
from releases.rollouts.states import STANDING, FindingState
from releases.states import ENDS

LONGEST_REASON = 2_000
CHANGED = gettext_lazy("It changed since you looked. See what differs now, then decide.")


def adopt(finding_id: int, *, actor: Actor, reason: str, mark: str) -> Finding:
    """Let what runs be what should run from now on.

    Args:
        mark: of the differences that the person saw.

    Raises:
        NotFound, NotAllowed.
        Invalid: no reason is given.
        Conflict: it is settled already, it changed since, or something rolls out there.
    """
    with transaction.atomic():
        finding = _locked(finding_id, actor=actor)
        _require_standing(finding, mark=mark)
        _require_calm(finding)
        row = Running.objects.get(service=finding.service, environment=finding.environment)
        seen = differences(row.expected, row.seen, scale=finding.service.scale)
        if mark_of(seen) != mark:
            # It was seen already, and is about to be written into the finding.
            raise Conflict(CHANGED, code="stale_digest")
        row.release = None
        row.save(update_fields=["release"])
        expect_seen(row, anew=True)
        finding.ended_at = clock.now()
        _settle(finding, FindingState.ADOPTED, actor=actor, reason=reason, fields=["ended_at"])
    return finding


def explain(finding_id: int, *, actor: Actor, reason: str, mark: str) -> Finding:
    """Say why it is right for now that something else runs; it stays on the board, and asks nobody any more.

    Args:
        mark: of the differences that the person saw.

    Raises:
        NotFound, NotAllowed, Invalid, Conflict: as for adopting.
    """
    with transaction.atomic():
        finding = _locked(finding_id, actor=actor)
        _require_standing(finding, mark=mark)
        _settle(finding, FindingState.EXPLAINED, actor=actor, reason=reason)
    return finding


def put_back(finding_id: int, *, actor: Actor) -> Release:
    """Compose a draft that returns the service to the approved image; it goes the way of any release.

    Raises:
        NotFound, NotAllowed: the person may not see it, or may not compose releases of the service.
        Conflict: it is over, a draft was made already, it is nothing that a release puts back, or something
            rolls out there.
        Invalid: what a release of it lacks.
        TemporaryError: the registry does not answer.
    """
    found = find(finding_id, actor=actor)
    require_compose(actor, [found.service])
    _require_standing(found, mark=found.mark)
    _require_calm(found)
    _require_no_draft(found)
    # The registry is asked meanwhile: nothing is locked yet, and somebody else may do the same.
    with noting_refusals(None, actor=actor):
        composition = compose(_content(found), actor=actor)
    with transaction.atomic():
        rows = Finding.objects.select_for_update(of=("self",))
        finding = rows.select_related("service", "environment", "put_back_by").get(pk=finding_id)
        _require_standing(finding, mark=found.mark)
        _require_no_draft(finding)
        release = store(composition, actor=actor)
        finding.put_back_by = release
        finding.save(update_fields=["put_back_by"])
        record(
            "finding.put_back",
            actor=actor,
            subject=("finding", str(finding.pk)),
            release=release.number,
            service=finding.service.name,
        )
        touch(f"board.{finding.environment.name}")
    return release


def may_settle(finding: Finding, actor: Actor) -> bool:
    """Whether the person may adopt and explain."""
    return actor.user in deciders_of(finding.service)


def rollout_at(finding: Finding) -> Rollout | None:
    """Return the rollout of the service there that is not over."""
    row = Running.objects.filter(service=finding.service_id, environment=finding.environment_id).first()
    return queries.moving_at(row) if row else None


def has_draft(finding: Finding) -> bool:
    """Whether a release that puts it back was made, and is not over."""
    return finding.put_back_by is not None and finding.put_back_by.state not in ENDS


def find(finding_id: int, *, actor: Actor) -> Finding:
    """Return a finding that the person may see.

    Raises:
        NotFound: there is none, or they may not.
    """
    around = ("service__team", "environment", "put_back_by", "settled_by")
    found = Finding.objects.select_related(*around).filter(pk=finding_id).first()
    if found is None or (actor.user and not access.allowed(actor.user, "view", found)):
        raise NotFound
    return found


def _locked(finding_id: int, *, actor: Actor) -> Finding:
    """Return the finding under lock, what runs there locked before it, for who may settle it."""
    found = find(finding_id, actor=actor)
    require_scope(actor, "decide")
    _require_decider(found, actor)
    Running.objects.select_for_update().get(service=found.service_id, environment=found.environment_id)
    rows = Finding.objects.select_for_update(of=("self",))
    return rows.select_related("service__team", "environment").get(pk=finding_id)


def _require_decider(finding: Finding, actor: Actor) -> None:
    if may_settle(finding, actor):
        return
    team = finding.service.team
    names = [user.get_full_name() for user in deciders_of(finding.service)]
    text = _("Unapproved changes of {service} are settled by the team lead of {team}.")
    raise NotAllowed(
        text.format(service=finding.service.name, team=team),
        missing=[role_entry(FIRST, f"team:{team.key}", names)],
    )


def _require_standing(finding: Finding, *, mark: str) -> None:
    if finding.state not in STANDING:
        text = _("It is {state} already.")
        raise Conflict(text.format(state=finding.get_state_display()))
    if mark != finding.mark:
        raise Conflict(CHANGED, code="stale_digest")


def _require_calm(finding: Finding) -> None:
    """While a rollout is not over, what is approved is what ran before and what it brings."""
    if rollout_at(finding) is not None:
        raise Conflict(_("Something rolls out there now. Wait until it is over."))


def _settle(
    finding: Finding, state: FindingState, *, actor: Actor, reason: str, fields: list[str] | None = None
) -> None:
    check_words(reason)
    words = reason.strip()
    if not words:
        raise Invalid(missing=[field_error("reason", _("Say why."))])
    finding.reason, finding.settled_by, finding.settled_at = words, actor.user, clock.now()
    changed = ["reason", "settled_by", "settled_at", *(fields or [])]
    name = finding.service.name
    seen = {"environment": finding.environment.name, "differences": finding.differences}
    move(finding, state, actor=actor, reason=words, fields=changed, data=seen, service=name)
    touch(f"board.{finding.environment.name}", data={"service": name})
    notices.touch_deciders(finding)


def _require_no_draft(finding: Finding) -> None:
    if has_draft(finding):
        text = _("Release #{number} was made for this already.")
        raise Conflict(text.format(number=finding.put_back_by_id))


def _content(finding: Finding) -> dict[str, object]:
    service = finding.service
    found = read(finding.differences)
    if not any(each.code in OF_IMAGES for each in found):
        text = _(
            "A release puts images back. Put this back in the cluster; the finding ends by itself: {what}."
        )
        raise Conflict(text.format(what=in_short(found)))
    row = Running.objects.get(service=service, environment=finding.environment)
    text = _("Back to what was approved (unapproved change {number})")
    return {
        "title": _("{service}: back to what was approved").format(service=service.name),
        "environment": finding.environment.name,
        "items": [{"service": service.name, "version": _approved_version(service, row)}],
        "changes": [{"area": service.name, "text": text.format(number=finding.pk), "link": None}],
        "facts": {},
    }


def _approved_version(service: Service, row: Running) -> str:
    """Return the version's name where it still stands for what was approved, else the digest itself."""
    digests: set[str] = set(row.expected.get("digests") or ())
    item = _released(service, digests)
    tag = item.version if item else _seen_tag(row)
    # A tag that is gone is as good as one that has moved.
    with suppress(PermanentError):
        resolved = versions.resolve(service, tag)
        if digests & {resolved.digest, *resolved.accepted}:
            return tag
    if not digests:
        raise Conflict(_("What ran before has no digest; nobody can say which image it was."))
    return item.digest if item else min(digests)


def _released(service: Service, digests: set[str]) -> Item | None:
    """The newest item of a release that put one of these digests there."""
    known = Q(digest__in=digests)
    for digest in digests:
        known |= Q(accepted__contains=[digest])
    return Item.objects.filter(known, service=service).order_by("-pk").first()


def _seen_tag(row: Running) -> str:
    for workload in (row.expected.get("workloads") or {}).values():
        for image in ((workload or {}).get("images") or {}).values():
            last = image.split("@", maxsplit=1)[0].rpartition("/")[2]
            if ":" in last:
                return str(last.partition(":")[2])
    return ""
