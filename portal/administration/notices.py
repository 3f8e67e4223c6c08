"""Telling a person what an administrator did to their account."""

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import override

from portal import clock
from portal.actors import Actor
from portal.notices.telling import Notice, tell
from portal.people.models import User

KIND = "account"


def tell_reset(person: User, *, actor: Actor, reason: str) -> None:
    """Say that the second factors are gone and who took them, so that nobody does it unnoticed."""
    with override(person.language or settings.LANGUAGE_CODE):
        body = _(
            "{who} removed every passkey, authenticator app and recovery code of your account, and ended its "
            "sessions. Reason: {reason}. Sign in and add a second factor again. If you did not ask for this, "
            "tell another administrator at once."
        )
        notice = Notice(
            person=person,
            kind=KIND,
            key=f"account.factors_reset.{clock.now().isoformat()}:{person.username}",
            subject=_("Your second factors were reset"),
            body=body.format(who=actor.user or _("The portal"), reason=reason),
            link="/sign-in/second-factor/",
        )
    tell([notice])
