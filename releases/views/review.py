"""Reviewing: what goes out and why it may, read in ten seconds; and the panels on which one decides."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from approvals.models import Decision
from approvals.states import Verdict
from portal.errors import NotFound
from portal.people.doors import browser_actor
from releases import proposal, queries
from releases.announcement import announcement_of
from releases.forms import AnswerForm, ReasonForm, attach
from releases.models import Release
from releases.operations.decide import answer_objection, decide_release, take_back_decision
from releases.reading import deciding, life, lists
from releases.states import EDITABLE
from releases.together import looks_like_one
from releases.views.answers import REFUSALS, factor_step, go, is_fragment, person, refuse, sent, typed_before


@require_safe
def review(request: HttpRequest, number: int) -> HttpResponse:
    """Show what an approver needs; the fragment alone when it refreshes itself."""
    release = queries.detail(person(request), number)
    template = "releases/_review.html" if is_fragment(request) else "releases/review.html"
    return render(request, template, _review_context(request, release))


@require_http_methods(["GET", "POST"])
def decide(request: HttpRequest, number: int, verdict: str) -> HttpResponse:
    """Ask for one verdict on exactly this content, and record it."""
    if verdict not in Verdict.values:
        raise NotFound
    release = queries.detail(person(request), number)
    typed = typed_before(request)
    form = ReasonForm(sent(request), needed=verdict != Verdict.APPROVE, initial=typed)
    seen = request.POST.get("content_digest", "").replace("\x00", "")
    if request.method != "POST":
        # The page the panel is opened from may be old: what has changed since is shown before the press.
        context = _decide_context(request, release, verdict, form, seen=request.GET.get("seen", ""))
        context["chosen"] = typed.get("for", "")
        return render(request, _panel(request, "decide"), context)
    try:
        decide_release(
            number,
            actor=browser_actor(request),
            verdict=verdict,
            content_digest=seen,
            reason=request.POST.get("reason", ""),
            on_behalf_of=request.POST.get("for") or None,
        )
    except REFUSALS as error:
        rest = attach(form, error.missing)
        release = queries.detail(person(request), number)
        context = _decide_context(request, release, verdict, form, seen=seen)
        return refuse(request, _panel(request, "decide"), {**context, "rest": rest}, error)
    return go(request, reverse("releases:review", args=[number]))


@require_http_methods(["GET", "POST"])
def take_back(request: HttpRequest, number: int, decision_id: int) -> HttpResponse:
    """Ask whether to take one's own decision back, and do it."""
    release = queries.detail(person(request), number)
    context = {"release": release, "decision": _decision(release, decision_id)}
    if request.method != "POST":
        return render(request, _panel(request, "take_back"), context)
    try:
        take_back_decision(number, decision_id, actor=browser_actor(request))
    except REFUSALS as error:
        return refuse(request, _panel(request, "take_back"), context, error)
    return go(request, reverse("releases:review", args=[number]))


@require_http_methods(["GET", "POST"])
def answer(request: HttpRequest, number: int, decision_id: int) -> HttpResponse:
    """Answer an objection in words."""
    release = queries.detail(person(request), number)
    form = AnswerForm(sent(request))
    context = {"release": release, "decision": _decision(release, decision_id), "form": form}
    if request.method != "POST":
        return render(request, _panel(request, "answer"), context)
    try:
        typed = request.POST.get("answer", "")
        answer_objection(number, decision_id, actor=browser_actor(request), answer=typed)
    except REFUSALS as error:
        attach(form, error.missing)
        return refuse(request, _panel(request, "answer"), context, error)
    return go(request, reverse("releases:review", args=[number]))


def _panel(request: HttpRequest, name: str) -> str:
    return f"releases/panels/{'_' if is_fragment(request) else ''}{name}.html"


def _decision(release: Release, decision_id: int) -> Decision:
    found = queries.decisions_of(release).filter(pk=decision_id).first()
    if found is None:
        raise NotFound
    return found


def _review_context(request: HttpRequest, release: Release) -> dict[str, Any]:
    user = person(request)
    lost = deciding.last_round(release)
    builders = proposal.builders_of(release)
    return {
        "release": release,
        "deciding": deciding.deciding_of(release, user),
        "reasons": deciding.reasons_of(release),
        "together": looks_like_one(release),
        "facts": proposal.facts_of(release),
        "tests": deciding.tests_of(release),
        "builders": [each for each in builders if each.said],
        "unbuilt": ", ".join(each.item.service.name for each in builders if not each.said),
        "announcement": announcement_of(release),
        "lost": lost,
        "difference": deciding.difference_to(release, lost.content_digest) if lost else None,
        "overlaps": queries.overlapping(release),
        "deadline": life.deadline_of(release),
        "last_event": lists.newest_event(release.topic),
        "start_url": life.address("rollouts:start", release.number),
        "plan_url": life.address("rollouts:plan", release.number) if release.state in EDITABLE else "",
    }


def _decide_context(
    request: HttpRequest, release: Release, verdict: str, form: ReasonForm, seen: str = ""
) -> dict[str, Any]:
    state = deciding.deciding_of(release, person(request))
    changed = bool(seen) and seen != release.content_digest
    return {
        "release": release,
        "verdict": verdict,
        "form": form,
        "deciding": state,
        "possible": verdict in state.verdicts,
        "chosen": request.POST.get("for", ""),
        "rows": [row for row in state.review if row.mine],
        "sentence": _sentences()[verdict],
        "changed": changed,
        "difference": deciding.difference_to(release, seen) if changed else None,
        "reasons": deciding.reasons_of(release),
        "factor": factor_step(request, release.approval_request, verdict),
    }


def _sentences() -> dict[str, str]:
    return {
        "approve": _("You approve exactly this; a change voids it."),
        "send_back": _(
            "It goes back to its author with your reason, and every decision of this round is void."
        ),
        "reject": _("The release ends here. Its author can duplicate it."),
        "object": _("Everybody who decides sees it. For grade D the start waits until somebody answers."),
    }
