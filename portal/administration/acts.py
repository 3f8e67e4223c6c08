"""The acts of an administrator on an account: what each says before it is done, and what does it."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.actors import Actor
from portal.administration.operations import end_sessions, reset_second_factor
from portal.people.operations import activate_person, deactivate_person

Words = str | Promise


@dataclass(frozen=True, kw_only=True)
class Act:
    """One act.

    Attributes:
        text: what it does, said before it is done.
        done: what is said after.
        asks: whether a reason may be given.
        grave: whether it takes something away.
    """

    title: Words
    text: Words
    done: Words
    do: Callable[[str, Actor, str], object]
    asks: bool = True
    needs: bool = False
    grave: bool = True


ACTS: dict[str, Act] = {
    "close": Act(
        title=_("Close the account"),
        text=_(
            "Sessions, tokens, roles and delegations end at once and do not come back with the account. What "
            "was decided and has not started counts no more."
        ),
        done=_("The account is closed."),
        do=lambda username, actor, reason: deactivate_person(username, actor=actor, reason=reason),
    ),
    "open": Act(
        title=_("Open the account again"),
        text=_(
            "The person can sign in again. Roles, tokens and delegations do not come back; give them anew."
        ),
        done=_("The account is open again."),
        do=lambda username, actor, _reason: activate_person(username, actor=actor),
        asks=False,
        grave=False,
    ),
    "end-sessions": Act(
        title=_("Sign out everywhere"),
        text=_("Every browser in which this person is signed in has to sign in again. Tokens stay."),
        done=_("Every session of this person has ended."),
        do=lambda username, actor, reason: end_sessions(username, actor=actor, reason=reason),
    ),
    "reset-factors": Act(
        title=_("Reset the second factors"),
        text=_(
            "Every passkey, authenticator app and recovery code of this person goes, and their sessions end. "
            "The password alone opens the account until they add one. Make sure that it is really they who "
            "ask. They are told."
        ),
        done=_("The second factors are reset, and the person is told."),
        do=lambda username, actor, reason: reset_second_factor(username, actor=actor, reason=reason),
        needs=True,
    ),
}
