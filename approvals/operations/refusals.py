"""Words and codes of what an approval refuses, and the checks that need no row."""

from django.utils.translation import gettext_lazy as _

from approvals.states import Phase, RequestState, Verdict
from portal.errors import Conflict, Invalid, NotAllowed, field_error
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


def check_verdict(verdict: str, reason: str, *, phase: str = Phase.REVIEW) -> None:
    """Raise Invalid unless the verdict exists in the phase and a refusal says why."""
    known = {word for known_phase, word in ALLOWED_STATES if known_phase == phase} | {Verdict.OBJECT}
    if verdict not in known:
        words = ", ".join(sorted(str(word) for word in known))
        text = _("One of these is expected: {words}").format(words=words)
        raise Invalid(missing=[field_error("verdict", text)])
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


def self_approval() -> NotAllowed:
    """The person wrote, changed or built what is to be approved."""
    return NotAllowed(
        _("Nobody decides on a release they wrote, changed or built. Others on the page can."),
        code="self_approval",
        title=_("Not your own release"),
    )
