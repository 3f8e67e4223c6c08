"""What of the calendar can be watched: everybody who is signed in sees whether the line stands."""

from collections.abc import Collection

from django.utils.translation import gettext_lazy as _

from portal.live import texts, topics
from portal.people.models import User

TOPIC = "calendar"


def register() -> None:
    """Let "calendar" be watched."""
    topics.register(TOPIC, _readers)
    texts.register(TEXTS)


def _readers(users: Collection[User], key: str) -> list[User]:
    return [] if key else list(users)


# Who stopped what and why stands on the page that is drawn anew; the event itself tells no names.
TEXTS = {
    "freeze.added": _("A freeze was added"),
    "freeze.stopped": _("The line was stopped"),
    "freeze.changed": _("A freeze was changed"),
    "freeze.lifted": _("A freeze was lifted"),
    "window.added": _("A window was added"),
    "window.changed": _("A window was changed"),
    "window.ended": _("A window was ended"),
}
