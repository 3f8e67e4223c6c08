"""The page of one release, and the panels that submit, withdraw, copy, announce and close it."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from portal import access
from portal.errors import NotFound
from portal.people.doors import browser_actor
from portal.people.models import User
from releases import notices, queries, stations
from releases.announcement import announcement_of
from releases.attachment import attachment
from releases.catalog.models import Environment
from releases.forms import CheckForm, ReasonForm, attach
from releases.models import Answer, Check, CheckPhase, Release
from releases.operations.checks import answer_check, is_due, is_signed_off, may_answer
from releases.operations.create import carry_release, duplicate_release
from releases.operations.ends import announce_release, close_release, withdraw_release
from releases.operations.submit import submit_release
from releases.reading import composing, deciding, life, lists, record
from releases.remarks import remarks_on
from releases.states import ReleaseState
from releases.together import looks_like_one
from releases.views.answers import REFUSALS, go, is_fragment, once, person, refuse, sent

# Before that there is nothing that somebody could have tried.
CARRIED = stations.PROVEN | {ReleaseState.APPROVED, ReleaseState.SCHEDULED}
CHECK_FIELDS = {"evidence.text": "evidence", "evidence.link": "link", "evidence.file": "file"}


@require_safe
def detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show the whole of a release; the fragment alone when it refreshes itself."""
    release = queries.detail(person(request), number)
    template = "releases/_release.html" if is_fragment(request) else "releases/detail.html"
    return render(request, template, _detail_context(request, release))


@require_http_methods(["GET", "POST"])
def submit(request: HttpRequest, number: int) -> HttpResponse:
    """Show who will be asked for what, and submit."""
    release = queries.detail(person(request), number)
    context = _submit_context(release)
    return _panel(
        request, "submit", context, lambda: submit_release(number, actor=browser_actor(request)), number
    )


@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, number: int) -> HttpResponse:
    """Ask for a reason and withdraw; a draft is deleted in the same way, and stays in the record."""
    release = queries.detail(person(request), number)
    context = {"release": release, "form": ReasonForm(sent(request))}
    reason = request.POST.get("reason", "").strip()

    def act() -> object:
        return withdraw_release(number, actor=browser_actor(request), reason=reason)

    return _panel(request, "withdraw", context, act, number)


@require_http_methods(["GET", "POST"])
def duplicate(request: HttpRequest, number: int) -> HttpResponse:
    """Make a new draft with the same content, once for each form."""
    release = queries.detail(person(request), number)
    context = {"release": release, "once": request.POST.get("once") or secrets.token_hex(16)}
    if request.method != "POST":
        return render(request, _template(request, "duplicate"), context)
    try:
        return go(request, once(request, lambda: _copy(request, number)))
    except REFUSALS as error:
        return refuse(request, _template(request, "duplicate"), context, error)


@require_http_methods(["GET", "POST"])
def carry(request: HttpRequest, number: int, environment: str) -> HttpResponse:
    """Make a draft for the environment that follows, with the very same images, once for each form."""
    release = queries.detail(person(request), number)
    following = stations.onward(release, access.visible(person(request), Environment))
    target = next((each for each in following if each.name == environment), None)
    if target is None:
        raise NotFound
    key = request.POST.get("once") or secrets.token_hex(16)
    context = {"release": release, "target": target, "once": key}
    if request.method != "POST":
        return render(request, _template(request, "carry"), context)
    try:
        return go(request, once(request, lambda: _carried(request, number, environment)))
    except REFUSALS as error:
        return refuse(request, _template(request, "carry"), context, error)


@require_http_methods(["GET", "POST"])
def announce(request: HttpRequest, number: int) -> HttpResponse:
    """Show the announcement and who is told, and post it."""
    release = queries.detail(person(request), number)
    context = {
        "release": release,
        "announcement": announcement_of(release),
        "told": notices.shared_with(release),
    }
    return _panel(
        request, "announce", context, lambda: announce_release(number, actor=browser_actor(request)), number
    )


@require_http_methods(["GET", "POST"])
def close(request: HttpRequest, number: int) -> HttpResponse:
    """Close a release that is out."""
    context = {"release": queries.detail(person(request), number)}
    return _panel(
        request, "close", context, lambda: close_release(number, actor=browser_actor(request)), number
    )


@require_http_methods(["GET", "POST"])
def check(request: HttpRequest, number: int, check_id: int) -> HttpResponse:
    """Answer one item of the checklist, with evidence."""
    release = queries.detail(person(request), number)
    item = _check(release, check_id)
    is_sent = request.method == "POST"
    form = CheckForm(request.POST, request.FILES) if is_sent else CheckForm(initial=_answered(item))
    signed = is_signed_off(release)
    possible = is_due(item, release, signed=signed)
    context = {"release": release, "check": item, "form": form, "possible": possible, "signed": signed}
    if not is_sent:
        return render(request, _template(request, "check"), context)
    try:
        form.full_clean()
        answer_check(
            number,
            check_id,
            actor=browser_actor(request),
            result=request.POST.get("result", ""),
            evidence=form.evidence_data() if form.is_valid() else request.POST.get("evidence", ""),
        )
    except REFUSALS as error:
        rest = attach(form, error.missing, CHECK_FIELDS)
        return refuse(request, _template(request, "check"), {**context, "rest": rest}, error)
    return go(request, f"{reverse('releases:detail', args=[number])}#check-{check_id}")


@require_safe
def evidence(request: HttpRequest, number: int, digest: str) -> HttpResponse:
    """Hand out a file that was given as evidence to whoever may see the release."""
    return attachment(queries.answer_with_file(person(request), number, digest))


def _panel(
    request: HttpRequest, name: str, context: dict[str, Any], act: Callable[[], object], number: int
) -> HttpResponse:
    """A page with one form: GET shows it, POST acts and leads to the release, a refusal says why."""
    if request.method != "POST":
        return render(request, _template(request, name), context)
    try:
        act()
    except REFUSALS as error:
        fresh = queries.detail(person(request), number)
        return refuse(request, _template(request, name), {**context, "release": fresh}, error)
    return go(request, reverse("releases:detail", args=[number]))


def _template(request: HttpRequest, name: str) -> str:
    return f"releases/panels/{'_' if is_fragment(request) else ''}{name}.html"


def _copy(request: HttpRequest, number: int) -> str:
    made = duplicate_release(number, actor=browser_actor(request))
    return reverse("releases:edit", args=[made.number])


def _carried(request: HttpRequest, number: int, environment: str) -> str:
    made = carry_release(number, environment, actor=browser_actor(request))
    return reverse("releases:edit", args=[made.number])


def _submit_context(release: Release) -> dict[str, Any]:
    needs = queries.requirements_of(release)
    return {
        "release": release,
        "requirements": [row for row in needs if row.phase != "signoff"],
        "signoff": [row for row in needs if row.phase == "signoff"],
        "reasons": deciding.reasons_of(release),
        "points": composing.open_points(release),
        "together": looks_like_one(release),
        "overlaps": queries.overlapping(release),
    }


def _detail_context(request: HttpRequest, release: Release) -> dict[str, Any]:
    user = person(request)
    state = deciding.deciding_of(release, user)
    needs = [row.need for row in state.rows]
    lost = deciding.last_round(release)
    earlier = queries.earlier_answers(release)
    seen = access.visible(user, Environment)
    may_compose = queries.may_compose(release, user)
    return {
        "release": release,
        "life": life.life_of(release, needs),
        "next": life.next_act(release, user, needs),
        "deciding": state,
        "phases": _checklist(release, user, earlier),
        "earlier_rounds": earlier.get(None, []),
        "reasons": deciding.reasons_of(release),
        "announcement": announcement_of(release),
        "rollouts": _rollouts(release),
        "remarks": remarks_on(release, user),
        "notices": record.notices_of(release),
        "entries": record.record_of(release),
        "deadline": life.deadline_of(release),
        "proof_url": life.address("rollouts:proof", release.number),
        "lost": lost,
        "difference": deciding.difference_to(release, lost.content_digest) if lost else None,
        "may_edit": queries.may_edit(release, user),
        "may_withdraw": life.may_withdraw(release, user),
        "may_schedule": life.may_schedule(release, user),
        "may_duplicate": queries.may_duplicate(release, user),
        "stations": stations.of(release, seen),
        "onward": stations.onward(release, seen) if may_compose and release.state in CARRIED else [],
        "last_event": lists.newest_event(release.topic),
    }


def _rollouts(release: Release) -> list[dict[str, Any]]:
    rows = release.rollouts.select_related("started_by").order_by("-pk")
    return [{"row": row, "url": life.address("rollouts:detail", row.pk)} for row in rows]


def _checklist(
    release: Release, user: User, earlier: Mapping[int | None, list[Answer]]
) -> list[dict[str, Any]]:
    """The checks by phase with their earlier answers; who may answer is asked once for each role."""
    signed = is_signed_off(release)
    may: dict[str, bool] = {}
    checks = list(release.checks.all())
    for item in checks:
        if item.role not in may:
            may[item.role] = may_answer(item, release, user)
    phases = []
    for phase in CheckPhase.values:
        items = [item for item in checks if item.phase == phase]
        rows = [
            {
                "check": item,
                "open": is_due(item, release, signed=signed) and item.kind == "person" and may[item.role],
                "earlier": earlier.get(item.pk, []),
            }
            for item in items
        ]
        done = sum(1 for item in items if item.result in queries.ANSWERED)
        phases.append({"phase": phase, "rows": rows, "done": done, "total": len(items)})
    return phases


def _check(release: Release, check_id: int) -> Check:
    found = next((item for item in release.checks.all() if item.pk == check_id), None)
    if found is None:
        raise NotFound
    return found


def _answered(item: Check) -> dict[str, str]:
    evidence = item.evidence if isinstance(item.evidence, dict) else {"text": item.evidence or ""}
    return {
        "result": item.result,
        "evidence": str(evidence.get("text") or ""),
        "link": str(evidence.get("link") or ""),
    }
