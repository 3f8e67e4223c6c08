"""The page of a live rollout and the sign-off of its result (screens.md 2.8, 2.9)."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from approvals.states import Phase
from portal import access
from portal.errors import PortalError
from portal.live.models import Event
from portal.people.doors import browser_actor
from portal.people.models import User
from releases import gates
from releases import queries as release_queries
from releases.operations import sign_off_result
from releases.reading.life import forward_again
from releases.reading.lists import newest_event
from releases.rollouts import line, overview, texts
from releases.rollouts.findings import queries
from releases.rollouts.models import Rollout
from releases.rollouts.states import RolloutState
from releases.rollouts.views.logs import follow_until
from releases.views.answers import factor_step, go, is_fragment, refusal_status, typed_before

SHOWN_EVENTS = 40
# That a step may begin is seen in the same moment by its beginning.
UNTOLD_EVENTS = frozenset({"step.ready"})
SIGNOFF_STATES = frozenset({"awaiting_signoff"})


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Watch a rollout, and stop it at once."""
    return render(request, "rollouts/detail.html", _context(request, pk))


@require_safe
def part(request: HttpRequest, pk: int) -> HttpResponse:
    """The live part of the page, with its action bar."""
    return render(request, "rollouts/_live.html", _context(request, pk))


@require_http_methods(["GET", "HEAD", "POST"])
def signoff(request: HttpRequest, pk: int) -> HttpResponse:
    """Decide about the result, before the notice goes out."""
    rollout = _visible(request, pk)
    typed = typed_before(request)
    problem, reason = None, typed.get("reason", "")
    if request.method == "POST":
        reason = request.POST.get("reason", "").strip()
        verdict = request.POST.get("verdict", "")
        try:
            sign_off_result(
                rollout.release_id,
                actor=browser_actor(request),
                verdict=verdict,
                reason=reason,
                on_behalf_of=request.POST.get("for") or None,
            )
        except PortalError as error:
            if error.status == 404:
                raise
            problem = error
        else:
            return go(request, reverse("releases:detail", args=[rollout.release_id]))
    context = {**_context(request, pk), "problem": problem, "reason": reason, "chosen": typed.get("for", "")}
    context["factor"] = factor_step(request, context["release"].approval_request, "approve")
    template = f"rollouts/panels/{'_' if is_fragment(request) else ''}signoff.html"
    return render(request, template, context, status=refusal_status(request, problem) if problem else 200)


def _visible(request: HttpRequest, pk: int) -> Rollout:
    assert isinstance(request.user, User)
    access.get_or_404(request.user, Rollout, pk=pk)
    found = Rollout.objects.select_related("release__plan", "environment", "started_by")
    return found.prefetch_related("release__items__service").get(pk=pk)


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    assert isinstance(request.user, User)
    # The number is read before the rows: what is newer than it will ask for the part again.
    topic = f"rollout.{pk}"
    newest = newest_event(topic)
    rollout = _visible(request, pk)
    release = rollout.release
    awaits_signoff = release.state in SIGNOFF_STATES
    requirements = release_queries.requirements_of(release) if awaits_signoff else []
    stance = release_queries.stance(release, request.user, phase=Phase.SIGNOFF) if awaits_signoff else None
    return {
        "rollout": rollout,
        "release": release,
        "view": overview.overview(rollout, request.user),
        "again": forward_again(release, request.user) if rollout.state == RolloutState.ROLLED_BACK else None,
        "follow_until": follow_until(),
        "unapproved": queries.beside(rollout),
        "waiting": line.waiting_behind(rollout),
        "newest": newest,
        "events": _events(topic),
        "escalation": (release.plan.spec if release.plan else {}).get("escalation", []),
        "runbook": (release.plan.spec if release.plan else {}).get("runbook", ""),
        "signoff_rows": [row for row in requirements if row.phase == Phase.SIGNOFF],
        "stance": stance,
        "gates": gates.gates_of(release) if awaits_signoff else [],
        "breaches": gates.missing_gates(release) if awaits_signoff else [],
        "may_ignore": stance is not None and stance.code in {"", "already_decided"},
        "checks": [check for check in release.checks.all() if check.phase != "before"],
    }


def _events(topic: str) -> list[dict[str, Any]]:
    found = Event.objects.filter(topic=topic).exclude(kind__in=UNTOLD_EVENTS).order_by("-number")
    return [
        {"number": each.number, "at": each.at, "kind": each.kind, "text": texts.event(each)}
        for each in found[:SHOWN_EVENTS]
    ]
