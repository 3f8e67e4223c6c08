"""The second factor: its refusals in our words, and what is done to it in the record."""

from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from portal.actors import Actor
from portal.audit.record import record
from portal.people.doors import address_of
from portal.people.models import User


class SecondFactorAdapter(DefaultMFAAdapter):
    """allauth's second factor with sentences that say what to do next."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("This code is not right, or no longer. Type the one that the app shows now."),
        "cannot_generate_recovery_codes": _("Recovery codes need a second factor. Switch it on first."),
    }


def watch() -> None:
    """Record every factor that comes and goes in the transaction in which it does, and every wrong code."""
    post_save.connect(_added, sender=Authenticator, dispatch_uid="second factor added")
    post_delete.connect(_removed, sender=Authenticator, dispatch_uid="second factor removed")
    authentication_failed.connect(_refused, sender=Authenticator, dispatch_uid="second factor refused")


def _added(instance: Authenticator, created: bool, **_more: Any) -> None:
    if created:
        _note("factor.added", instance, after=instance.type)


def _removed(instance: Authenticator, **_more: Any) -> None:
    _note("factor.removed", instance, before=instance.type)


def _refused(request: HttpRequest, user: User, **_more: Any) -> None:
    actor = Actor(door="browser", address=address_of(request), cause="second factor")
    with transaction.atomic():
        record("session.refused", actor=actor, subject=("person", user.username))


def _note(action: str, factor: Authenticator, *, before: str = "", after: str = "") -> None:
    """Outside a request, as in a command, the portal itself has done it."""
    request = context.request
    user = getattr(request, "user", None)
    if isinstance(user, User):
        actor = Actor(user=user, address=address_of(request))
    else:
        actor = Actor.portal("second factor", door="cli")
    record(
        action,
        actor=actor,
        subject=("person", factor.user.username),
        before={"kind": before} if before else {},
        after={"kind": after} if after else {},
    )
