"""Rules of an account's fields, and closing one."""

import zoneinfo
from collections.abc import Collection

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.errors import Invalid, Missing, field_error
from portal.people.models import AccessToken, User

CHECKED = ("username", "name", "email", "language", "time_zone")


def check_new(user: User, *, password: str | None) -> None:
    """Refuse an account that cannot be made, naming every wrong field.

    Raises:
        Invalid: with one entry per fault.
    """
    missing = _faults(user, fields=CHECKED)
    taken = User.objects.filter(username__iexact=user.username).exists()
    if taken and not any(entry["field"] == "username" for entry in missing):
        missing.append(field_error("username", _("This name is taken.")))
    if password is not None:
        missing += _password_faults(user, password)
    if missing:
        raise Invalid(_("The account was not made."), missing=missing)


def check(user: User, *, fields: Collection[str]) -> None:
    """Refuse wrong values in the named fields.

    Raises:
        Invalid: with one entry per fault.
    """
    missing = _faults(user, fields=fields)
    if missing:
        raise Invalid(_("The account was not changed."), missing=missing)


def insert(user: User) -> None:
    """Store a new account; of two made at once under one name, the second is told so.

    Raises:
        Invalid: the name was taken in between.
    """
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise Invalid(missing=[field_error("username", _("This name is taken."))]) from error


def close(user: User) -> None:
    """Close the locked account: every session and token of it is dead from this commit on."""
    user.is_active = False
    user.session_generation += 1
    user.save(update_fields=["is_active", "session_generation"])
    AccessToken.objects.filter(user=user, revoked_at=None).update(revoked_at=clock.now())


def _faults(user: User, *, fields: Collection[str]) -> list[Missing]:
    leave_out = {field.name for field in User._meta.fields} - set(fields)
    missing: list[Missing] = []
    try:
        user.clean_fields(exclude=leave_out)
    except ValidationError as error:
        missing = [field_error(name, text) for name, texts in error.message_dict.items() for text in texts]
    for field in {"username", "name"} & set(fields):
        if not getattr(user, field).isprintable():
            missing.append(field_error(field, _("Control characters are not allowed here.")))
    if "time_zone" in fields and user.time_zone and user.time_zone not in zoneinfo.available_timezones():
        text = _("{zone} is no time zone; write one like Asia/Seoul.").format(zone=user.time_zone)
        missing.append(field_error("time_zone", text))
    return missing


def _password_faults(user: User, password: str) -> list[Missing]:
    try:
        validate_password(password, user)
    except ValidationError as error:
        return [field_error("password", text) for text in error.messages]
    return []
