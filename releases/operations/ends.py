"""Withdrawing, announcing and closing."""

from django.utils.translation import gettext_lazy as _

from approvals import queries as approval_queries
from approvals.operations import void_request
from approvals.states import Phase
from portal import access, clock
from portal.actors import Actor
from portal.errors import Conflict, Missing
from portal.sentences import Text
from portal.words import check_words
from releases import notices, queries, wording
from releases.announcement import announcement_of
from releases.gates import missing_gates
from releases.items import hold_items
from releases.models import CheckPhase, Release
from releases.operations.locking import act, may_compose, require_deploy, require_scope, require_state
from releases.operations.moving import move_release
from releases.start import missing_checks, refuse, row_fact
from releases.states import ReleaseState

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
        move_release(release, S.WITHDRAWN, actor=actor, reason=reason)
        return release


def announce_release(number: int, *, actor: Actor) -> Release:
    """Post the announcement once the result is signed off and the checks during the rollout are answered.

    What broke after the sign-off holds it as it would have held that.

    Raises:
        NotFound, NotAllowed.
        Conflict: wrong_state, or what is missing.
    """
    with act(number, actor=actor) as release:
        require_state(release, {S.AWAITING_SIGNOFF})
        require_deploy(actor, release)
        if queries.switches_first(release):
            raise Conflict(_("The traffic switches first; the release is announced by itself after that."))
        refuse(missing_after_result(release))
        announce(release, actor=actor)
        return release


def missing_after_result(release: Release) -> list[Missing]:
    """What a verified result still needs: its sign-off, the checks of the rollout, gates that are well."""
    checks = missing_checks(release, CheckPhase.DURING)
    return [*missing_signoffs(release), *checks, *missing_gates(release)]


def missing_signoffs(release: Release) -> list[Missing]:
    """The rows of the sign-off that nobody fills who still may."""
    return [wording.against(fact) for fact in against_switch(release)]


def against_switch(release: Release) -> list[Missing]:
    """The same rows as facts, for `wording.against`."""
    return _open_rows(release, Phase.SIGNOFF)


def announce(release: Release, *, actor: Actor, reason: Text = "") -> None:
    """Move a locked release to announced and tell everybody its policy names; the record keeps the words."""
    hold_items(release)
    text = announcement_of(release)
    move_release(release, S.ANNOUNCED, actor=actor, reason=reason, data={"text": text})
    notices.tell_announced(release, text)


def close_release(number: int, *, actor: Actor) -> Release:
    """Close a release that is announced, failed or reviewed after the fact, once its checks are answered.

    Never before its owed review is given: a failed one is handed over to its reviewers instead.

    Raises:
        NotFound, NotAllowed.
        Conflict: wrong_state, or what is missing.
    """
    with act(number, actor=actor) as release:
        require_state(release, {S.ANNOUNCED, S.FAILED, S.REVIEW_OWED})
        require_deploy(actor, release)
        owed = [wording.against(fact) for fact in _open_rows(release, Phase.OWED)]
        if owed and release.state == S.FAILED:
            owe_review(release, actor=actor)
            return release
        refuse([*owed, *missing_checks(release, CheckPhase.AFTER)])
        move_release(release, S.CLOSED, actor=actor)
        return release


def close_reviewed(release: Release, *, actor: Actor) -> None:
    """Close a locked release with its owed review, unless checks after the rollout still hold it."""
    if not missing_checks(release, CheckPhase.AFTER):
        move_release(release, S.CLOSED, actor=actor)


def owe_review(release: Release, *, actor: Actor, reason: Text = "") -> None:
    """Hand a locked release over to those who review it after the fact."""
    move_release(release, S.REVIEW_OWED, actor=actor, reason=reason)
    notices.tell_review_owed(release)


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
        reason = _("The deadline has passed.")
        void_request(request.pk, actor=actor, reason=reason, filed_under=number)
        move_release(release, S.EXPIRED, actor=actor, reason=reason)
        notices.tell_settled(release, reason=reason)
        return release


def owes_review(release: Release) -> bool:
    """Whether it went out before anybody approved it, and nobody has reviewed it since."""
    return bool(_open_rows(release, Phase.OWED))


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


def _open_rows(release: Release, phase: Phase) -> list[Missing]:
    request = release.approval_request
    rows = approval_queries.standing(request).open(phase) if request is not None else ()
    return [row_fact(row) for row in rows]
