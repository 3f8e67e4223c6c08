"""Ending ways into somebody's account; every act is recorded with it."""

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.actors import Actor
from portal.administration import notices
from portal.audit.record import record
from portal.errors import Conflict, Invalid, NotAllowed, NotFound, field_error
from portal.people.models import AccessToken, User
from portal.people.operations import lock_person, require_administrator


def end_sessions(username: str, *, actor: Actor, reason: str = "") -> User:
    """End every session of a person, everywhere and from this commit on; their tokens stay.

    Raises:
        NotFound: nobody has this name.
        NotAllowed: the actor is no administrator.
    """
    require_administrator(actor)
    with transaction.atomic():
        user = lock_person(username)
        _end_sessions(user)
        record("session.all_ended", actor=actor, subject=("person", username), reason=reason)
    return user


def revoke_token_of(username: str, prefix: str, *, actor: Actor, reason: str = "") -> None:
    """End a token of a person; one that has ended stays as it is.

    Raises:
        NotFound: the person has no such token.
        NotAllowed: the actor is no administrator.
    """
    require_administrator(actor)
    with transaction.atomic():
        found = AccessToken.objects.select_for_update().filter(user__username=username, prefix=prefix)
        token = found.first()
        if token is None:
            raise NotFound
        if token.revoked_at is not None:
            return
        token.revoked_at = clock.now()
        token.save(update_fields=["revoked_at"])
        before = {"name": token.name, "of": username}
        record("token.revoked", actor=actor, subject=("token", prefix), before=before, reason=reason)


def reset_second_factor(username: str, *, actor: Actor, reason: str) -> User:
    """Take every second factor of a person who has lost theirs; the password alone opens the account then.

    Sessions end as well, since one of them may be why. The person is told.

    Raises:
        NotFound: nobody has this name.
        NotAllowed: the actor is no administrator, or means themselves: a stolen session must not do that.
        Invalid: no reason.
        Conflict: there is none.
    """
    require_administrator(actor)
    if actor.name == username:
        raise NotAllowed(_("Nobody resets their own second factor. Ask another administrator."))
    if not reason:
        raise Invalid(missing=[field_error("reason", _("Say why, in a sentence."))])
    with transaction.atomic():
        user = lock_person(username)
        factors = Authenticator.objects.filter(user=user)
        kinds = sorted(factors.values_list("type", flat=True))
        if not kinds:
            raise Conflict(_("This account has no second factor."))
        factors.delete()
        _end_sessions(user)
        subject = ("person", username)
        record("factor.reset", actor=actor, subject=subject, before={"kinds": kinds}, reason=reason)
        notices.tell_reset(user, actor=actor, reason=reason)
    return user


def _end_sessions(user: User) -> None:
    user.session_generation += 1
    user.save(update_fields=["session_generation"])
