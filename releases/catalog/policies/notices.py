"""Who is told what about changes of the policy and about gaps: messages, and a nudge to the inboxes."""

from collections.abc import Callable

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from approvals.models import Coverage, Decision, PolicyProposal
from approvals.queries import standing
from portal.live.publish import touch
from portal.outbox.post import post
from portal.people.models import User
from portal.people.queries import administrators

MOST_LINES = 50


def tell_proposed(proposal: PolicyProposal) -> None:
    """Ask those who can sign."""
    for user in signers(proposal):
        with _language_of(user):
            title = _("Please sign: change {number} of the policy").format(number=proposal.pk)
            _send(user, f"proposal.{proposal.pk}.opened", title, proposal.note, _address(proposal))
        touch(f"inbox.{user.pk}")


def tell_settled(proposal: PolicyProposal, *, reason: str) -> None:
    """Tell the author, and once it is in force everybody who signs such changes."""
    told = {user.pk: user for user in signers(proposal)} if proposal.became else {}
    if proposal.author is not None:
        told[proposal.author.pk] = proposal.author
    for user in told.values():
        with _language_of(user):
            title = _("Change {number} of the policy is {state}")
            title = title.format(number=proposal.pk, state=proposal.get_state_display())
            _send(user, f"proposal.{proposal.pk}.settled", title, reason or proposal.note, _address(proposal))


def tell_objection(proposal: PolicyProposal, objection: Decision) -> None:
    """Show an objection to the author and to everybody who signs."""
    told = {user.pk: user for user in signers(proposal)}
    if proposal.author is not None:
        told[proposal.author.pk] = proposal.author
    for user in told.values():
        with _language_of(user):
            title = _("{name} objects to change {number} of the policy")
            title = title.format(name=objection.person, number=proposal.pk)
            key = f"proposal.{proposal.pk}.objection.{objection.pk}"
            _send(user, key, title, objection.reason, _address(proposal))


def tell_answered(proposal: PolicyProposal, objection: Decision) -> None:
    """Tell who objected what was answered."""
    with _language_of(objection.person):
        title = _("Your objection to change {number} of the policy is answered").format(number=proposal.pk)
        key = f"proposal.{proposal.pk}.objection.{objection.pk}.answered"
        _send(objection.person, key, title, objection.answer, _address(proposal))


def touch_signers(proposal: PolicyProposal) -> None:
    """Let the inboxes of all who sign read again."""
    for user in signers(proposal):
        touch(f"inbox.{user.pk}")


def signers(proposal: PolicyProposal) -> list[User]:
    """Everybody who could sign now, signed or not."""
    if proposal.approval_request is None:
        return []
    rows = standing(proposal.approval_request).rows
    return list({user.pk: user for row in rows for user in row.candidates}.values())


def tell_gaps(found: Coverage, sentences: Callable[[], list[str]]) -> None:
    """Tell the administrators of gaps that were not there at the last look.

    Args:
        sentences: writes the gaps in the language of the moment.
    """
    for user in administrators():
        with _language_of(user):
            lines = sentences()
            title = ngettext(
                "{count} new gap: a release that nobody could approve",
                "{count} new gaps: releases that nobody could approve",
                len(lines),
            ).format(count=len(lines))
            body = "\n".join(lines[:MOST_LINES])
            _send(user, f"coverage.{found.looked_at.isoformat()}", title, body, "/policy/coverage/")


def _address(proposal: PolicyProposal) -> str:
    return f"/policy/proposals/{proposal.pk}/"


def _send(user: User, key: str, title: str, body: str, link: str) -> None:
    post(
        f"{key}:{user.username}",
        channel="mail" if user.email else "console",
        recipient=user.email or user.username,
        subject=title,
        body=body,
        link=link,
    )


def _language_of(user: User) -> override:
    """Messages are written in the language of who reads them."""
    return override(user.language or settings.LANGUAGE_CODE)
