"""The panel that starts a rollout, and the dry run it shows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from portal import access
from portal.errors import Missing, PortalError
from portal.people.doors import browser_actor
from portal.people.models import User
from releases import start as starting
from releases.guards import require_state
from releases.models import Release
from releases.operating import is_restore, plan_of
from releases.rollouts import line, pins, plans, queueing
from releases.rollouts.models import QueuePlace
from releases.states import ReleaseState
from releases.views.answers import go, is_fragment, person, refusal_status


@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest, number: int) -> HttpResponse:
    """Say what a start does and what is missing; start."""
    release = _visible(request, number)
    if request.method == "POST":
        return _start(request, release)
    return _panel(request, release, problem=_gone_on(release))


@require_safe
def plan(request: HttpRequest, number: int) -> HttpResponse:
    """The dry run: every step and what it would change against what runs now."""
    release = _visible(request, number)
    context: dict[str, Any] = {"release": release}
    try:
        context["planned"] = plans.preview_for(person(request), release)
    except PortalError as error:
        context["problem"] = error
    template = "rollouts/_plan.html" if is_fragment(request) else "rollouts/plan.html"
    return render(request, template, context)


def _visible(request: HttpRequest, number: int) -> Release:
    assert isinstance(request.user, User)
    return access.get_or_404(request.user, Release, number=number)


def _start(request: HttpRequest, release: Release) -> HttpResponse:
    try:
        confirmed = request.POST.get("confirm", "")
        begun = queueing.ask_start(release.number, actor=browser_actor(request), confirmed=confirmed)
    except PortalError as error:
        if error.status not in {409, 422}:
            raise
        return _panel(request, release, problem=error)
    if isinstance(begun, QueuePlace):
        return go(request, reverse("releases:detail", args=[release.number]))
    return go(request, reverse("rollouts:detail", args=[begun.pk]))


def _gone_on(release: Release) -> PortalError | None:
    """Why a release in its state is not started any more, or not yet; None where it can be."""
    try:
        require_state(release, starting.STARTABLE)
    except PortalError as error:
        return error
    return None


def _panel(request: HttpRequest, release: Release, *, problem: PortalError | None = None) -> HttpResponse:
    missing = starting.missing_for_start(release)
    context = {
        "release": release,
        "items": list(release.items.select_related("service")),
        "missing": missing,
        "restores": is_restore(release),
        "stand": line.stand_of(release),
        "pinned": list(pins.pins_of(release)),
        "opens_at": _next_opening(release, missing),
        "minutes": plan_of(release).get("expectedMinutes"),
        "problem": problem,
        "startable": release.state in starting.STARTABLE,
    }
    template = f"rollouts/panels/{'_' if is_fragment(request) else ''}start.html"
    return render(request, template, context, status=refusal_status(request, problem) if problem else 200)


def _next_opening(release: Release, missing: Sequence[Missing]) -> datetime | None:
    """When the place opens next, where that is what an approved release waits for."""
    opens = next((entry["opens_at"] for entry in missing if entry["code"] == "freeze"), None)
    return datetime.fromisoformat(opens) if opens and release.state == ReleaseState.APPROVED else None
