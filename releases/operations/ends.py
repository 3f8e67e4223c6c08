"""Withdrawing, announcing and closing."""

from django.utils.translation import gettext_lazy as _

from approvals import queries as approval_queries
from approvals.operations import void_request
from approvals.states import Phase
from portal import access, clock
from portal.actors import Actor
from portal.errors import Conflict, Missing
from portal.live.publish import touch
from portal.transitions import move
from portal.words import check_words
from releases import notices, wording
from releases.models import CheckPhase, Release
from releases.operations.locking import act, may_compose, require_deploy, require_scope, require_state
from releases.start import missing_checks, refuse
from releases.states import ENDS, ReleaseState

S = ReleaseState
WITHDRAWABLE = frozenset({S.DRAFT, S.SENT_BACK, S.SUBMITTED, S.IN_REVIEW, S.APPROVED, S.SCHEDULED})


def withdraw_release(number: int, *, actor: Actor, reason: str = "") -> Release:
    """End a release that has not started; by its author or somebody who could compose or start it.

    Raises:
        NotFound, Conflict, NotAllowed.
        Invalid: the reason holds control characters.
    """
    with act(number, actor=actor) as release:
        check_words(reason)
        require_state(release, WITHDRAWABLE)
        _require_withdraw(release, actor)
        if release.approval_request_id is not None:
            void_request(release.approval_request_id, actor=actor, reason=reason, filed_under=number)
        move_to(release, S.WITHDRAWN, actor=actor, reason=reason)
        return release


def announce_release(number: int, *, actor: Actor) -> Release:
    """Post the announcement once the result is signed off and the checks during the rollout are answered.

    Raises:
        NotFound, NotAllowed.
        Conflict: wrong_state, or what is missing.
    """
    with act(number, actor=actor) as release:
        require_state(release, {S.AWAITING_SIGNOFF})
        require_deploy(actor, release)
        refuse([*_missing_signoff(release), *missing_checks(release, CheckPhase.DURING)])
        announce(release, actor=actor)
        return release


def announce(release: Release, *, actor: Actor, reason: str = "") -> None:
    """Move a locked release to announced and tell everybody its policy names."""
    move_to(release, S.ANNOUNCED, actor=actor, reason=reason)
    notices.tell_announced(release)


def close_release(number: int, *, actor: Actor) -> Release:
    """Close an announced or a failed release whose checks are answered.

    A release with an owed review is closed by that review alone, never from here; a failed one comes to
    owe it now.

    Raises:
        NotFound, NotAllowed.
        Conflict: wrong_state, or what is missing.
    """
    with act(number, actor=actor) as release:
        require_state(release, {S.ANNOUNCED, S.FAILED})
        require_deploy(actor, release)
        if release.state == S.ANNOUNCED:
            refuse(missing_checks(release, CheckPhase.AFTER))
        owed = release.state == S.FAILED and owes_review(release)
        move_to(release, S.REVIEW_OWED if owed else S.CLOSED, actor=actor, reason="")
        if owed:
            notices.touch_deciders(release)
        return release


def expire_release(number: int, *, actor: Actor) -> Release:
    """End a pending release whose time is over.

    Raises:
        Conflict: it is not pending, or its time is not over.
    """
    with act(number, actor=actor) as release:
        require_state(release, {S.IN_REVIEW, S.APPROVED, S.SCHEDULED, S.SUBMITTED})
        request = release.approval_request
        assert request is not None
        if request.expires_at is None or request.expires_at > clock.now():
            raise Conflict(_("Its time is not over."))
        reason = str(_("The deadline has passed."))
        void_request(request.pk, actor=actor, reason=reason, filed_under=number)
        move_to(release, S.EXPIRED, actor=actor, reason=reason)
        notices.tell_settled(release, reason=reason)
        return release


def owes_review(release: Release) -> bool:
    """Whether it went out before anybody approved it, and nobody has reviewed it since."""
    request = release.approval_request
    return request is not None and bool(approval_queries.standing(request).open(Phase.OWED))


def _require_withdraw(release: Release, actor: Actor) -> None:
    user = actor.user
    services = [item.service for item in release.items.select_related("service")]
    if user is None or user.pk == release.author_id:
        require_scope(actor, "compose")
    elif access.allowed(user, "deploy", release.environment):
        require_scope(actor, "operate")
    elif services and all(may_compose(actor, service) for service in services):
        require_scope(actor, "compose")
    else:
        require_deploy(actor, release)


def _missing_signoff(release: Release) -> list[Missing]:
    assert release.approval_request is not None
    rows = approval_queries.standing(release.approval_request).open(Phase.SIGNOFF)
    return [{**wording.missing_row(row.requirement), "id": row.requirement.pk} for row in rows]


def move_to(release: Release, state: str, *, actor: Actor, reason: str) -> None:
    """Move a locked release, note its end where it is one, and let the board read again."""
    if state in ENDS:
        release.ended_at = clock.now()
    move(
        release,
        state,
        actor=actor,
        reason=reason,
        fields=["ended_at"],
        topic=release.topic,
        release=release.number,
        content_digest=release.content_digest,
    )
    touch(f"board.{release.environment.name}")
