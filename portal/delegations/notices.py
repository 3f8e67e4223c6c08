"""Who is told of a delegation: both of its people, each in their language and in their way."""

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext, override
from django.utils.translation import gettext_noop as _

from portal import clock
from portal.live.publish import touch
from portal.notices.telling import Notice, tell, zone_of
from portal.people.models import Delegation, User
from portal.ui.looks import role_name, scope_name
from portal.ui.times import absolute

KIND = "delegation"


def tell_given(delegation: Delegation) -> None:
    """Say who decides for whom, in what and until when."""
    _tell(delegation, "given", _("{taker} decides for {giver}"))


def tell_ended(delegation: Delegation) -> None:
    """Say that a delegation ended before its time."""
    _tell(delegation, "ended", _("{taker} no longer decides for {giver}"))


def _tell(delegation: Delegation, what: str, title: str) -> None:
    """One message for each of the two and occasion; the key makes a repetition harmless."""
    people = (delegation.giver, delegation.taker)
    tell([_notice(user, delegation, what, title) for user in people])
    for user in people:
        touch(f"inbox.{user.pk}")


def _notice(user: User, delegation: Delegation, what: str, title: str) -> Notice:
    now = clock.now()
    with override(user.language or settings.LANGUAGE_CODE), timezone.override(zone_of(user)):
        place = f"{role_name(delegation.role)} · {scope_name(delegation.scope)}"
        starts, ends = (absolute(at, now=now) for at in (delegation.starts_at, delegation.ends_at))
        return Notice(
            person=user,
            kind=KIND,
            key=f"delegation.{delegation.pk}.{what}:{user.username}",
            subject=gettext(title).format(taker=delegation.taker, giver=delegation.giver),
            body=f"{place}\n{starts} – {ends}",
            link="/me/delegations/",
        )
