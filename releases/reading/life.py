"""Where a release stands, in points that a line can draw, and the one thing to do next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from portal import access
from portal.errors import Missing
from portal.people.models import User
from portal.ui import times
from portal.ui.looks import state_look
from releases import queries
from releases.gates import missing_gates
from releases.models import CheckPhase, Release
from releases.operating import is_restore
from releases.operations.ends import WITHDRAWABLE
from releases.queries import RequirementView
from releases.reading.deadlines import Deadline, deadlines_of
from releases.start import missing_checks, missing_for_start
from releases.states import ENDS, ReleaseState

S = ReleaseState
PLACE: Mapping[str, str] = {
    S.DRAFT: "draft",
    S.SENT_BACK: "draft",
    S.SUBMITTED: "approved",
    S.IN_REVIEW: "review",
    S.APPROVED: "approved",
    S.SCHEDULED: "approved",
    S.ROLLING_OUT: "rollout",
    S.PAUSED: "rollout",
    S.FAILED: "rollout",
    S.ROLLING_BACK: "rollout",
    S.ROLLED_BACK: "rollout",
    S.VERIFYING: "verified",
    S.AWAITING_SIGNOFF: "signoff",
    S.SWITCHING: "announced",
    S.ANNOUNCED: "announced",
    S.REVIEW_OWED: "owed",
    S.CLOSED: "closed",
}
WATCHED = frozenset({S.ROLLING_OUT, S.PAUSED, S.VERIFYING, S.ROLLING_BACK, S.SWITCHING, S.FAILED})
AWAITING_PEOPLE = frozenset({S.IN_REVIEW, S.AWAITING_SIGNOFF, S.REVIEW_OWED, S.PAUSED, S.SENT_BACK})


@dataclass(frozen=True, kw_only=True)
class NextAct:
    """The one thing to do: a button, or why there is none, or what is missing for it.

    Attributes:
        label: words of the button, "" where this person has nothing to press.
        url: where it leads.
        text: who is awaited, or what happens now.
        missing: what must be there first; the button is shown off then.
        panel: whether it leads to a panel, which opens on the same page.
    """

    label: str = ""
    url: str = ""
    text: str = ""
    missing: Sequence[Missing] = field(default_factory=tuple)
    panel: bool = False


def life_of(release: Release, requirements: Sequence[RequirementView]) -> list[dict[str, str]]:
    """The points of the life line: what is done and when, what is now and who is awaited, what comes."""
    names = _names(release, requirements)
    here = _place(release)
    position = list(names).index(here) if here in names else 0
    points = []
    for place, (name, label) in enumerate(names.items()):
        status = "done" if place < position else "next"
        note = _done_note(release, name) if place < position else ""
        if place == position:
            status, note = _status_now(release), _note_now(release, requirements)
            note = "" if note == label else note
        points.append({"label": label, "status": status, "note": note})
    return points


def next_act(release: Release, user: User, requirements: Sequence[RequirementView]) -> NextAct:
    """What this person would do next with the release."""
    by_state: list[tuple[frozenset[str], Callable[[], NextAct]]] = [
        (frozenset({S.DRAFT, S.SENT_BACK}), lambda: _compose_on(release, user)),
        (frozenset({S.IN_REVIEW}), lambda: _decide(release, user, requirements)),
        (frozenset({S.REVIEW_OWED}), lambda: _settle_owed(release, user, requirements)),
        (frozenset({S.APPROVED, S.SCHEDULED, S.SUBMITTED}), lambda: _start(release, user)),
        (WATCHED, lambda: _watch(release, requirements)),
        (frozenset({S.AWAITING_SIGNOFF}), lambda: _sign_off(release, user, requirements)),
        (frozenset({S.ANNOUNCED}), lambda: _close(release, user, text=_("It is out and announced."))),
    ]
    found = next((act for states, act in by_state if release.state in states), None)
    return found() if found else _after_the_end(release, user)


def forward_again(release: Release, user: User) -> NextAct:
    """What leads forward again from a rollback: a copy, for what starts again is approved again."""
    text = _("It was rolled back. To go forward again, duplicate it and submit the copy.")
    return _copy(release, user, text=text)


def awaited(requirements: Sequence[RequirementView], phase: str) -> str:
    """Who is still to decide, in words."""
    return ", ".join(
        _("{role} of {scope}").format(role=row.role_name, scope=row.place)
        for row in requirements
        if row.phase == phase and not row.met
    )


def deadline_of(release: Release) -> Deadline | None:
    """Until when its review is awaited; None where nobody's is."""
    return deadlines_of([release]).get(release.number)


def may_withdraw(release: Release, user: User) -> bool:
    """Whether the person may end the release before its start."""
    mine = release.author_id == user.pk or access.allowed(user, "deploy", release.environment)
    return release.state in WITHDRAWABLE and (mine or queries.may_edit(release, user))


def may_schedule(release: Release, user: User) -> bool:
    """Whether the person may choose a time for its start, or another one."""
    waits = release.state in {S.APPROVED, S.SCHEDULED}
    return waits and access.allowed(user, "deploy", release.environment)


def rollout_address(release: Release, name: str = "rollouts:detail") -> str:
    """A page of the newest rollout; "" where there is none."""
    newest = release.rollouts.order_by("-pk").values_list("pk", flat=True).first()
    return "" if newest is None else address(name, newest)


def address(name: str, *args: Any) -> str:
    """A page of the layer above, which may not be installed; "" then."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


def _names(release: Release, requirements: Sequence[RequirementView]) -> dict[str, str]:
    phases = {row.phase for row in requirements}
    emergency = release.grade == "E"
    return {
        "draft": _("Draft"),
        **({} if emergency else {"review": _("Review")}),
        "approved": _("Submitted") if emergency else _("Approved"),
        "rollout": _("Rollout"),
        "verified": _outcome(release),
        **({"signoff": _("Sign-off")} if "signoff" in phases else {}),
        **({"owed": _("Owed review")} if emergency else {"announced": _("Announced")}),
        "closed": _("Closed"),
    }


def _place(release: Release) -> str:
    if release.state in PLACE:
        return PLACE[release.state]
    if release.approved_at:
        return "approved"
    return "review" if release.submitted_at and release.grade != "E" else "draft"


def _outcome(release: Release) -> str:
    """What came of a rollout that is over: verified, or the word of another end."""
    over = release.state in {S.REVIEW_OWED, S.CLOSED}
    newest = release.rollouts.order_by("-pk").values_list("state", flat=True) if over else ()
    state = next(iter(newest[:1]), "succeeded")
    return _("Verified") if state == "succeeded" else str(state_look(state).label)


def _status_now(release: Release) -> str:
    if release.state in {S.FAILED}:
        return "bad"
    if release.state in {S.CLOSED, S.ANNOUNCED}:
        return "done"
    return "wait" if release.state in AWAITING_PEOPLE or release.state in ENDS else "now"


def _note_now(release: Release, requirements: Sequence[RequirementView]) -> str:
    phases = {S.IN_REVIEW: "review", S.AWAITING_SIGNOFF: "signoff", S.REVIEW_OWED: "owed"}
    who = awaited(requirements, phases[S(release.state)]) if release.state in phases else ""
    if who:
        return _("Awaited: {who}").format(who=who)
    if release.state == S.CLOSED:
        return _moment(release.ended_at)
    if release.state == S.REVIEW_OWED:
        return _("The review is given.")
    return str(state_look(release.state).label)


def _done_note(release: Release, name: str) -> str:
    moments = {"draft": release.submitted_at, "review": release.approved_at}
    return _moment(moments.get(name))


def _moment(moment: datetime | None) -> str:
    return times.absolute(moment, now=timezone.now()) if moment else ""


def _compose_on(release: Release, user: User) -> NextAct:
    if not queries.may_edit(release, user):
        return NextAct(text=_("It is being written. Whoever may compose these services submits it."))
    return NextAct(label=_("Go on composing"), url=reverse("releases:edit", args=[release.number]))


def _decide(release: Release, user: User, requirements: Sequence[RequirementView]) -> NextAct:
    phase = queries.deciding_phase(release)
    text = _("Awaited: {who}").format(who=awaited(requirements, phase))
    url = reverse("releases:review", args=[release.number])
    mine = queries.stance(release, user, phase=phase).code == ""
    return NextAct(label=_("Review and decide") if mine else _("To the review"), url=url, text=text)


def _settle_owed(release: Release, user: User, requirements: Sequence[RequirementView]) -> NextAct:
    """The review first; given with checks still open, those hold the close."""
    if awaited(requirements, "owed"):
        return _decide(release, user, requirements)
    return _close(release, user, text=_("The review is given."))


def _start(release: Release, user: User) -> NextAct:
    missing = missing_for_start(release)
    if not access.allowed(user, "deploy", release.environment):
        text = _("Nothing is rolled out yet. People with the right to deploy start it.")
        return NextAct(text=_by_itself(release) or text, missing=missing)
    url = address("rollouts:start", release.number)
    text = _by_itself(release)
    return NextAct(label=_("Start rollout"), url=url, text=text, missing=missing, panel=True)


def _by_itself(release: Release) -> str:
    return (
        _("It starts by itself: {at}.").format(at=_moment(release.scheduled_at))
        if release.scheduled_at
        else ""
    )


def _watch(release: Release, requirements: Sequence[RequirementView]) -> NextAct:
    text = _("The rollout needs somebody.") if release.state in {S.PAUSED, S.FAILED} else ""
    who = awaited(requirements, "owed") if release.state == S.FAILED else ""
    if who:
        text = " ".join([text, _("A review is owed, too: {who}.").format(who=who)])
    return NextAct(label=_("Watch the rollout"), url=rollout_address(release), text=text)


def _sign_off(release: Release, user: User, requirements: Sequence[RequirementView]) -> NextAct:
    who = awaited(requirements, "signoff")
    if queries.stance(release, user, phase="signoff").code == "" and who:
        url = rollout_address(release, "rollouts:signoff")
        return NextAct(label=_("Sign off"), url=url, panel=True)
    missing = [*missing_checks(release, CheckPhase.DURING), *missing_gates(release)]
    if who:
        return NextAct(text=_("Awaited: {who}").format(who=who), missing=missing)
    if queries.switches_first(release):
        text = _("The result is signed off. The traffic switches by itself once nothing is missing.")
        return NextAct(text=text, missing=missing)
    if not access.allowed(user, "deploy", release.environment):
        return NextAct(text=_("The result is signed off. The announcement is next."))
    url = reverse("releases:announce", args=[release.number])
    return NextAct(label=_("Announce"), url=url, missing=missing, panel=True)


def _close(release: Release, user: User, *, text: str) -> NextAct:
    missing = missing_checks(release, CheckPhase.AFTER)
    if not access.allowed(user, "deploy", release.environment):
        return NextAct(text=text, missing=missing)
    url = reverse("releases:close", args=[release.number])
    return NextAct(label=_("Close the release"), url=url, missing=missing, panel=True)


def _after_the_end(release: Release, user: User) -> NextAct:
    if release.state == S.SUPERSEDED and release.superseded_by_id:
        url = reverse("releases:detail", args=[release.superseded_by_id])
        text = _("Replaced by #{number}.").format(number=release.superseded_by_id)
        return NextAct(label=_("To the newer release"), url=url, text=text)
    if release.state == S.CLOSED:
        return NextAct(text=_("It is over. Nothing is left to do."))
    if release.state == S.ROLLED_BACK:
        return forward_again(release, user)
    return _copy(release, user, text=_("It is over. A duplicate can be submitted again."))


def _copy(release: Release, user: User, *, text: str) -> NextAct:
    if is_restore(release):
        return NextAct(text=_("It is over. A restore is asked for anew, at its backup."))
    if not queries.may_duplicate(release, user):
        return NextAct(text=text)
    url = reverse("releases:duplicate", args=[release.number])
    return NextAct(label=_("Duplicate"), url=url, text=text, panel=True)
