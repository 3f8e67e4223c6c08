"""Tells people: a message per recipient in the outbox, written once whatever happens."""

import hashlib

from django.db.models import QuerySet

from portal.people.models import User
from releases import notices
from releases.announcement import announcement_of
from releases.rollouts.steps.kind import Json, Outcome, StepKind, Verdict, Work

SHARED = "shared"
CONSOLE = "console"


class Notice(StepKind):
    """Posts the release's text to everybody the plan names; "shared" is whom the grade's policy names."""

    name = "notice"

    def observe(self, work: Work) -> Outcome:
        """Say which messages leave: a worker that lost its lease meanwhile tells nobody anything."""
        messages = [_message(work, channel, recipient) for channel, recipient in _recipients(work)]
        observed = {"code": "noticed", "count": len(messages)}
        return Outcome(verdict=Verdict.DONE, observed=observed, messages=messages)


def _recipients(work: Work) -> list[tuple[str, str]]:
    """Channel and recipient of every message, each once."""
    found: dict[tuple[str, str], None] = {}
    for each in work.step.params.get("to") or [CONSOLE]:
        kind, _colon, name = str(each).partition(":")
        if each == SHARED:
            found |= dict.fromkeys(map(_address, notices.shared_with(work.release)))
        elif kind in {"team", "role"}:
            found |= dict.fromkeys(map(_address, _holders(kind, name)))
        else:
            found["mail" if kind == "mail" else CONSOLE, name if kind == "mail" else str(each)] = None
    return list(found)


def _holders(kind: str, name: str) -> QuerySet[User]:
    """Active people with a role in the team, or with the role anywhere."""
    held = {"assignments__scope": f"team:{name}"} if kind == "team" else {"assignments__role": name}
    return User.objects.filter(assignments__revoked_at=None, is_active=True, **held).distinct()


def _address(user: User) -> tuple[str, str]:
    return ("mail", user.email) if user.email else (CONSOLE, user.username)


def _message(work: Work, channel: str, recipient: str) -> Json:
    release = work.release
    # Of a fixed length, so that no two long addresses are cut to the same key.
    address = hashlib.sha256(recipient.encode()).hexdigest()[:32]
    return {
        "key": f"rollout.{work.step.rollout_id}.{work.step.key}:{address}",
        "channel": channel,
        "recipient": recipient,
        "subject": str(release),
        "body": announcement_of(release),
        "link": f"/releases/{release.number}/",
    }
