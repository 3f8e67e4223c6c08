"""Who may read the whole record; what concerns one release is read on the release's own page."""

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from portal.errors import Missing, NotAllowed
from portal.reader import Reader, reader_of
from portal.ui.looks import role_entry

READERS = ("auditor", "administrator", "director", "team_lead")


def require_reader(user: AbstractBaseUser | AnonymousUser) -> None:
    """Raise NotAllowed unless the person's roles open the whole record."""
    if not may_read(user):
        raise NotAllowed(
            _("The whole record is open to auditors, administrators, directors and team leads."),
            missing=[_entry(role) for role in READERS],
        )


def may_read(user: object) -> bool:
    """Whether the person's roles open the whole record."""
    held = getattr(user, "assignments", None)
    return held is not None and held.filter(revoked_at=None, role__in=READERS).exists()


def in_frame(request: HttpRequest) -> dict[str, object]:
    """Context processor: `may_read_record`, asked only where a page draws the frame."""
    return {"may_read_record": SimpleLazyObject(lambda: _reads(reader_of(request)))}


def _reads(reader: Reader | None) -> bool:
    return reader is not None and reader.holds(*READERS)


def _entry(role: str) -> Missing:
    holders = get_user_model().objects.filter(
        is_active=True, assignments__role=role, assignments__revoked_at=None
    )
    names = [person.get_full_name() for person in holders.distinct().order_by("username")]
    return role_entry(role, "", names)
