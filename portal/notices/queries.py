"""What a person was told."""

from portal.outbox.models import Message
from portal.people.models import User

SHOWN = 50


def told_to(person: User) -> list[Message]:
    """The newest messages to a person, whatever way they went; digests repeat others and are left out."""
    mine = Message.objects.filter(person=person).exclude(kind="")
    return list(mine.defer("body").order_by("-id")[:SHOWN])
