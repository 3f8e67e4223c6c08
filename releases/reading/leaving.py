"""What would become of releases if a person's account were closed: told before it is."""

from collections.abc import Iterable

from django.urls import reverse
from django.utils.translation import gettext as _

from approvals import queries as approval_queries
from approvals.queries import RowStanding, Voice
from approvals.states import RequestState
from portal.administration.queries import Consequence
from portal.people.models import User
from portal.ui.looks import role_name, scope_name
from releases.models import Release
from releases.states import ENDS

LIVE = (RequestState.OPEN, RequestState.APPROVED)


def consequences(person: User) -> list[Consequence]:
    """Rows that nobody could fill then, and approvals that would count no more (rules.md, "Who counts")."""
    under_way = Release.objects.exclude(state__in=ENDS).filter(approval_request__state__in=LIVE)
    releases = {release.approval_request_id: release for release in under_way.order_by("number")}
    standings = approval_queries.standings([key for key in releases if key is not None])
    return [
        told
        for key, release in releases.items()
        if key in standings
        for row in standings[key].rows
        for told in _of_row(release, row, person)
    ]


def _of_row(release: Release, row: RowStanding, person: User) -> Iterable[Consequence]:
    """An open row that nobody else could fill, or a met one that the person has filled."""
    is_lost = any(_has_part(voice, person) for voice in row.voices)
    concerned = is_lost or person in row.deciders or person in row.candidates
    if not concerned or (row.met and not is_lost):
        return
    if not _who_is_left(row, person):
        text = _("#{number} {title}: nobody could decide as {role} ({scope}) any more.")
        yield _told(release, row, text, grave=True)
    elif is_lost:
        text = _("#{number} {title}: an approval as {role} ({scope}) would count no more.")
        yield _told(release, row, text, grave=False)


def _who_is_left(row: RowStanding, person: User) -> list[User]:
    others = [user for user in row.candidates if user != person]
    return others + [voice.person for voice in row.stand_ins if not _has_part(voice, person)]


def _has_part(voice: Voice, person: User) -> bool:
    return person.pk in voice.keys


def _told(release: Release, row: RowStanding, text: str, *, grave: bool) -> Consequence:
    need = row.requirement
    said = text.format(
        number=release.number,
        title=release.title,
        role=role_name(need.role),
        scope=scope_name(need.scope),
    )
    return Consequence(text=said, link=reverse("releases:detail", args=[release.number]), grave=grave)
