"""Tells people: a message per recipient in the outbox, written once whatever happens."""

import hashlib

from django.db.models import QuerySet

from portal.notices import telling
from portal.outbox.post import Letter
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
        messages = _messages(work)
        observed = {"code": "noticed", "count": len(messages)}
        return Outcome(verdict=Verdict.DONE, observed=observed, messages=messages)


def _messages(work: Work) -> list[Letter]:
    """One message for each recipient; people have it their own way, bare addresses at once."""
    people, addresses = _recipients(work)
    told = telling.letters([_notice(work, user) for user in people])
    return [*told, *(_letter(work, channel, recipient) for channel, recipient in addresses)]


def _recipients(work: Work) -> tuple[list[User], list[tuple[str, str]]]:
    """The people to tell, and the channel and recipient of what goes to nobody's account."""
    people: dict[User, None] = {}
    addresses: dict[tuple[str, str], None] = {}
    for each in work.step.params.get("to") or [CONSOLE]:
        kind, _colon, name = str(each).partition(":")
        if each == SHARED:
            people |= dict.fromkeys(notices.shared_with(work.release))
        elif kind in {"team", "role"}:
            people |= dict.fromkeys(_holders(kind, name))
        else:
            addresses["mail" if kind == "mail" else CONSOLE, name if kind == "mail" else str(each)] = None
    known = {user.email for user in people}
    return list(people), [pair for pair in addresses if pair[1] not in known]


def _holders(kind: str, name: str) -> QuerySet[User]:
    """Active people with a role in the team, or with the role anywhere."""
    held = {"assignments__scope": f"team:{name}"} if kind == "team" else {"assignments__role": name}
    return User.objects.filter(assignments__revoked_at=None, is_active=True, **held).distinct()


def _notice(work: Work, user: User) -> telling.Notice:
    return telling.Notice(person=user, kind=SHARED, **_text(work, user.email or user.username))


def _letter(work: Work, channel: str, recipient: str) -> Letter:
    return Letter(channel=channel, recipient=recipient, **_text(work, recipient))


def _text(work: Work, recipient: str) -> Json:
    release = work.release
    # Of a fixed length, so that no two long addresses are cut to the same key.
    address = hashlib.sha256(recipient.encode()).hexdigest()[:32]
    return {
        "key": f"rollout.{work.step.rollout_id}.{work.step.key}:{address}",
        "subject": str(release),
        "body": announcement_of(release),
        "link": f"/releases/{release.number}/",
    }
