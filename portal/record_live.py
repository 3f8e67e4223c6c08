"""Whoever may read the record can watch its verification: the topic "record".

Beside the record and not in it: what is live knows people, people are recorded, and the record knows neither.
"""

from collections.abc import Collection

from django.utils.translation import gettext_lazy as _

from portal.audit import operations
from portal.audit.models import Verification
from portal.audit.queries import TOPIC
from portal.audit.readers import READERS
from portal.live import texts, topics
from portal.live.publish import publish_now
from portal.people.models import RoleAssignment, User


def register() -> None:
    """Let "record" be watched, and tell it of each piece."""
    topics.register(TOPIC, _readers)
    texts.register(
        {
            "record.verified": _("The record was verified: {entries} entries."),
            "record.failed": _("The record is broken at entry {number}."),
        }
    )
    operations.FOLLOWERS.append(_tell)


def _readers(users: Collection[User], key: str) -> list[User]:
    if key:
        return []
    held = RoleAssignment.objects.filter(revoked_at=None, role__in=READERS, user__in=users)
    may = set(held.values_list("user", flat=True))
    return [user for user in users if user.pk in may]


def _tell(row: Verification) -> int:
    """Each piece draws the page again; only the end is said aloud."""
    check = row.check_made
    if check is None:
        number = publish_now(TOPIC, "record.progress", {"entries": row.entries, "total": row.total})
    elif check.fault:
        number = publish_now(TOPIC, "record.failed", {"number": check.broken_at})
    else:
        number = publish_now(TOPIC, "record.verified", {"entries": check.entries})
    return number
