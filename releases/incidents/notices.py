"""Who is told of an incident: who has a role in the service or its team, or is in charge there."""

from django.conf import settings
from django.utils.translation import gettext, override
from django.utils.translation import gettext_noop as _

from portal.notices.kinds import TROUBLE
from portal.notices.telling import Notice, tell
from portal.people.models import RoleAssignment, User
from portal.people.queries import administrators
from releases.catalog.rights import in_charge
from releases.incidents.models import Entry, Incident

TITLE = _("Incident {number}: {title}")


def team_of(incident: Incident) -> list[User]:
    """The people who own the service (product.md, "The five grades", E), or bring it out there.

    Where there are none, the administrators.
    """
    service = incident.service
    scopes = (f"service:{service.name}", f"team:{service.team.key}")
    held = RoleAssignment.objects.filter(scope__in=scopes, revoked_at=None, user__is_active=True)
    owners = User.objects.filter(pk__in=held.values("user")).order_by("username")
    return list(owners | in_charge(incident.environment, [service]) or administrators())


def tell_team(incident: Incident, entry: Entry, people: list[User]) -> None:
    """Write the notice to each of them; it is told at once, in quiet hours by their own choice."""
    tell([_notice(user, incident, entry) for user in people])


def _notice(user: User, incident: Incident, entry: Entry) -> Notice:
    with override(user.language or settings.LANGUAGE_CODE):
        subject = gettext(TITLE).format(number=incident.number, title=incident.title)
    return Notice(
        person=user,
        kind=TROUBLE,
        key=f"incident.{incident.number}.{entry.pk}:{user.username}",
        subject=subject,
        body=entry.text,
        link=f"/incidents/{incident.number}/",
    )
