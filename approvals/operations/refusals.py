"""Words and codes of what an approval refuses, and the checks that need no row."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from approvals.mandates import Mandate
from approvals.states import Phase, RequestState, Verdict
from portal.errors import Conflict, Invalid, NotAllowed, field_error
from portal.people.models import User
from portal.words import check_words

LIVE_STATES = (RequestState.OPEN, RequestState.APPROVED)
ALLOWED_STATES: dict[tuple[str, str], tuple[str, ...]] = {
    (Phase.REVIEW, Verdict.APPROVE): (RequestState.OPEN,),
    (Phase.REVIEW, Verdict.SEND_BACK): LIVE_STATES,
    (Phase.REVIEW, Verdict.REJECT): LIVE_STATES,
    (Phase.SIGNOFF, Verdict.APPROVE): (RequestState.APPROVED,),
    (Phase.SIGNOFF, Verdict.REJECT): (RequestState.APPROVED,),
    (Phase.OWED, Verdict.APPROVE): LIVE_STATES,
}


def check_verdict(
    verdict: str, reason: str, *, phase: str = Phase.REVIEW, on_behalf_of: str | None = None
) -> None:
    """Raise Invalid unless the verdict exists in the phase, with a reason where it refuses."""
    known = {word for known_phase, word in ALLOWED_STATES if known_phase == phase} | {Verdict.OBJECT}
    if verdict not in known:
        words = ", ".join(sorted(str(word) for word in known))
        text = _("One of these is expected: {words}").format(words=words)
        raise Invalid(missing=[field_error("verdict", text)])
    if verdict == Verdict.OBJECT and on_behalf_of:
        own = _("An objection is your own, and needs no delegation.")
        raise Invalid(missing=[field_error("for", own)])
    if verdict != Verdict.APPROVE:
        check_reason(reason)
    check_words(reason)


def check_reason(reason: str, *, field: str = "reason") -> None:
    """Raise Invalid unless there are words."""
    if not reason.strip():
        raise Invalid(missing=[field_error(field, _("Say why, in a sentence."))])
    check_words(reason, field=field)


def stale_digest() -> Conflict:
    """The content is another one than the person saw."""
    return Conflict(_("It changed while you looked. See the difference, then decide."), code="stale_digest")


def not_entitled() -> NotAllowed:
    """The person holds no role that is asked for here."""
    return NotAllowed(_("You hold no role that is asked for here. The page names who can decide."))


def no_delegation() -> NotAllowed:
    """The person named gave nothing that entitles to decide here now."""
    text = _("No delegation from this person to you is in force here. The page names who can decide.")
    return NotAllowed(text)


def whom_for(givers: Iterable[User]) -> Invalid:
    """Several people gave what entitles to decide here: the person says for whom."""
    names = ", ".join(str(giver) for giver in givers)
    text = _("You stand in for several people here. Say for whom you decide: {names}.").format(names=names)
    return Invalid(missing=[field_error("for", text)])


def decided_already() -> Conflict:
    """One decision for each person and phase."""
    text = _("You have decided already. Take that back to decide anew.")
    return Conflict(text, code="already_decided")


def name_used(mandate: Mandate) -> Conflict:
    """A mandate counts once."""
    if mandate.giver is None:
        text = _("{name} has decided for you already. End the delegation to decide yourself.")
    else:
        text = _("{name} has decided in this name already. A mandate counts once.")
    return Conflict(text.format(name=mandate.used_by), code="already_decided")


def self_approval_for(*givers: User) -> NotAllowed:
    """The people for whom it would be decided wrote, changed or built it."""
    names = ", ".join(str(giver) for giver in givers)
    text = _("{name} wrote, changed or built this release: nobody decides on it for them.")
    return NotAllowed(text.format(name=names), code="self_approval", title=_("Not your own release"))


def self_approval() -> NotAllowed:
    """The person wrote, changed or built what is to be approved."""
    return NotAllowed(
        _("Nobody decides on a release they wrote, changed or built. Others on the page can."),
        code="self_approval",
        title=_("Not your own release"),
    )


def second_factor() -> NotAllowed:
    """The grade asks for a second factor that the person's session has not seen lately."""
    return NotAllowed(
        _(
            "The policy asks who decides here for a second factor shown within five minutes. Show it in the "
            "browser, then decide; an access token cannot."
        ),
        code="second_factor",
        title=_("Second factor needed"),
    )
