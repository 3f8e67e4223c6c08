"""Tells people: a message per recipient in the outbox, written once whatever happens."""

from django.db import transaction
from django.db.models import QuerySet

from portal.outbox.post import post
from portal.people.models import User
from releases import notices
from releases.announcement import announcement_of
from releases.rollouts.steps.kind import Outcome, StepKind, Work, done

SHARED = "shared"
CONSOLE = "console"


class Notice(StepKind):
    """Posts the release's text to everybody the plan names; "shared" is whom the grade's policy names."""

    name = "notice"

    def observe(self, work: Work) -> Outcome:
        """Write the messages; the outbox sends them."""
        recipients = _recipients(work)
        with transaction.atomic():
            for channel, recipient in recipients:
                _post(work, channel, recipient)
        return done("noticed", count=len(recipients))


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


def _post(work: Work, channel: str, recipient: str) -> None:
    release = work.release
    post(
        f"rollout.{work.step.rollout_id}.{work.step.key}:{recipient}"[:200],
        channel=channel,
        recipient=recipient,
        subject=str(release),
        body=announcement_of(release),
        link=f"/releases/{release.number}/",
    )
