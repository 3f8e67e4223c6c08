"""What of releases can be watched, and the words of its events."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal import access
from portal.live import texts, topics
from portal.people.models import User
from releases import observations
from releases.models import Release


def register() -> None:
    """Let "release.N" be watched."""
    topics.register("release", _readers)
    texts.register(TEXTS)


def _readers(users: Collection[User], key: str) -> list[User]:
    if not (key.isascii() and key.isdigit() and len(key) < 19):
        return []
    return access.who_sees(users, Release, number=int(key))


def _decided(template: str | Promise) -> Callable[[Mapping[str, Any]], str]:
    """Words of a decision, which say for whom where it was by delegation."""

    def words(data: Mapping[str, Any]) -> str:
        by, giver = data.get("by", ""), data.get("for")
        who = _("{name} for {giver}").format(name=by, giver=giver) if giver else by
        return str(template).format(by=who, reason=data.get("reason", "")).strip()

    return words


def _because(template: str | Promise) -> Callable[[Mapping[str, Any]], str]:
    """Words of what happened for a reason, which the portal keeps as a code where it is its own."""

    def words(data: Mapping[str, Any]) -> str:
        reason = observations.reason(str(data.get("reason") or ""))
        return str(template).format(reason=reason).rstrip(": ")

    return words


TEXTS: dict[str, texts.Words] = {
    "release.created": _("Composed by {by}"),
    "release.edited": _("Edited by {by}"),
    "release.draft": _("Returned to draft: {reason}"),
    "release.submitted": _("Submitted by {by}"),
    "release.in_review": _("In review"),
    "release.approved": _("Approved"),
    "release.sent_back": _("Sent back by {by}: {reason}"),
    "release.rejected": _("Rejected by {by}: {reason}"),
    "release.withdrawn": _("Withdrawn by {by}"),
    "release.superseded": _("Replaced by #{by_release}"),
    "release.expired": _("Expired"),
    "release.scheduled": _("Scheduled by {by}"),
    "release.rolling_out": _("Rolling out"),
    "release.paused": _because(_("Paused: {reason}")),
    "release.verifying": _("Verifying what runs"),
    "release.awaiting_signoff": _("The result waits for its sign-off"),
    "release.switching": _("Traffic switches"),
    "release.announced": _("Announced by {by}"),
    "release.review_owed": _("A review is owed"),
    "release.closed": _("Closed by {by}"),
    "release.failed": _because(_("Failed: {reason}")),
    "release.rolling_back": _because(_("Rolling back: {reason}")),
    "release.rolled_back": _("Rolled back"),
    "release.tag_moved": _("{service} {version} names another image than when it was composed"),
    "release.overlap": _("#{release} shares services with this release"),
    "decision.approve": _decided(_("{by} approved")),
    "decision.send_back": _decided(_("{by} sent it back: {reason}")),
    "decision.reject": _decided(_("{by} rejected it: {reason}")),
    "decision.object": _("{by} objects: {reason}"),
    "decision.revoked": _("{by} took the decision back"),
    "objection.answered": _("{by} answered an objection"),
    "signoff.given": _decided(_("{by} decided on the result")),
    "checklist.ticked": _("{by} answered a check"),
    "checklist.measured": _("The portal measured a check: {text}"),
}
