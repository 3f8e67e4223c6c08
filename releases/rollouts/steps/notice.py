"""Tells people: a message per recipient in the outbox, written once whatever happens."""

from django.db import transaction

from portal.outbox.post import post
from releases import notices
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
    found: dict[tuple[str, str], None] = {}
    for each in work.step.params.get("to") or [CONSOLE]:
        if each == SHARED:
            users = notices.shared_with(work.release)
            found |= {
                ("mail" if user.email else CONSOLE, user.email or user.username): None for user in users
            }
        else:
            found["mail" if "@" in each else CONSOLE, each] = None
    return list(found)


def _post(work: Work, channel: str, recipient: str) -> None:
    release = work.release
    post(
        f"rollout.{work.step.rollout_id}.{work.step.key}:{recipient}"[:200],
        channel=channel,
        recipient=recipient,
        subject=str(release),
        body=release.announcement or str(release),
        link=f"/releases/{release.number}/",
    )
