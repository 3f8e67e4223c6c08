"""Who may read the whole record; what concerns one release is read on the release's own page."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext_lazy as _

from portal.errors import NotAllowed

READERS = ("auditor", "administrator", "director", "team_lead")


def require_reader(user: AbstractBaseUser | AnonymousUser) -> None:
    """Raise NotAllowed unless the person's roles open the whole record."""
    held = getattr(user, "assignments", None)
    if held is None or not held.filter(revoked_at=None, role__in=READERS).exists():
        raise NotAllowed(
            _("The whole record is open to auditors, administrators, directors and team leads."),
            missing=[{"code": "role", "text": _("One of these roles is needed."), "role": "auditor"}],
        )
