"""Putting messages into the outbox; they leave after commit."""

from portal import clock, jobs
from portal.outbox.models import Message


def post(key: str, *, channel: str, recipient: str, subject: str, body: str, link: str = "") -> Message:
    """Write a message in the present transaction; a second one under the same key changes nothing.

    Args:
        key: what makes the message unique, such as "release.145.submitted:minji:mail".
        channel: mail or console.
    """
    now = clock.now()
    message, created = Message.objects.get_or_create(
        key=key,
        defaults={
            "channel": channel,
            "recipient": recipient,
            "subject": subject[:250],
            "body": body,
            "link": link,
            "next_at": now,
            "created_at": now,
        },
    )
    if created:
        jobs.enqueue("portal.outbox.jobs.send", message.pk)
    return message
