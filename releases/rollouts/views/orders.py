"""Orders to a rollout: a panel that asks, and the press that gives the order (screens.md 2.8, 5)."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from portal import access
from portal.errors import NotFound, PortalError
from portal.people.doors import browser_actor
from portal.people.models import User
from releases.rollouts import durations, operations, overview, repeats
from releases.rollouts.models import Rollout, Step
from releases.rollouts.states import Direction, OrderKind
from releases.views.answers import go, is_fragment, refusal_status

LONGEST_REASON = 2_000
PANELS = frozenset({OrderKind.STOP, OrderKind.ROLLBACK})
STEP_ORDERS = frozenset({OrderKind.RETRY, OrderKind.SKIP})
STOP_REASONS = (
    gettext_lazy("Metrics got worse"),
    gettext_lazy("Errors seen"),
    gettext_lazy("Wrong version"),
    gettext_lazy("Other reason"),
)


@require_http_methods(["GET", "HEAD", "POST"])
def order(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Ask before stop and rollback; give an order for the whole rollout."""
    rollout = _visible(request, pk)
    if kind not in OrderKind.values or kind in STEP_ORDERS:
        raise NotFound
    if request.method == "POST":
        return _give(request, rollout, kind)
    if kind not in PANELS:
        return redirect("rollouts:detail", pk=pk)
    if repeats.is_so(rollout, kind, way=repeats.way_of(rollout)):
        return _panel(request, rollout, kind, already=repeats.told(repeats.first_of(rollout, kind)))
    return _panel(request, rollout, kind, problem=operations.refusal_of(rollout, kind))


@require_http_methods(["GET", "HEAD", "POST"])
def skip(request: HttpRequest, pk: int, step: int) -> HttpResponse:
    """Ask why a step is skipped, then skip it."""
    rollout = _visible(request, pk)
    found = _step(rollout, step)
    if request.method == "POST":
        return _give(request, rollout, OrderKind.SKIP, step=found)
    return _panel(request, rollout, OrderKind.SKIP, step=found)


@require_http_methods(["GET", "HEAD", "POST"])
def retry(request: HttpRequest, pk: int, step: int) -> HttpResponse:
    """Try a step again; ask before a database is restored once more."""
    rollout = _visible(request, pk)
    found = _step(rollout, step)
    if request.method == "POST":
        return _give(request, rollout, OrderKind.RETRY, step=found)
    if not found.is_restore or found.service is None:
        return redirect("rollouts:detail", pk=pk)
    access.require(browser_actor(request), "restore", found.service)
    return _panel(request, rollout, OrderKind.RETRY, step=found)


def _visible(request: HttpRequest, pk: int) -> Rollout:
    assert isinstance(request.user, User)
    return access.get_or_404(request.user, Rollout, pk=pk)


def _step(rollout: Rollout, pk: int) -> Step:
    found = rollout.steps.select_related("service").filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def _give(request: HttpRequest, rollout: Rollout, kind: str, *, step: Step | None = None) -> HttpResponse:
    reason = request.POST.get("reason", "")[:LONGEST_REASON].strip()
    try:
        operations.give_order(
            rollout.pk,
            kind,
            actor=browser_actor(request),
            reason=reason,
            step_id=step.pk if step else None,
            confirmed=request.POST.get("confirm", ""),
        )
    except PortalError as error:
        if error.status not in {409, 422}:
            raise
        return _panel(request, rollout, kind, step=step, problem=error, reason=reason)
    return go(request, reverse("rollouts:detail", args=[rollout.pk]))


def _panel(
    request: HttpRequest,
    rollout: Rollout,
    kind: str,
    *,
    step: Step | None = None,
    problem: PortalError | None = None,
    reason: str = "",
    already: str = "",
) -> HttpResponse:
    context: dict[str, Any] = {
        "rollout": rollout,
        "kind": kind,
        "step": step,
        "problem": problem,
        "reason": reason,
        "already": already,
        "title": _titles()[kind],
        "restores": kind == OrderKind.RETRY and step is not None and step.is_restore,
        "reasons": STOP_REASONS,
        **(_way_back(rollout) if kind == OrderKind.ROLLBACK else {}),
    }
    template = f"rollouts/panels/{'_' if is_fragment(request) else ''}order.html"
    return render(request, template, context, status=refusal_status(request, problem) if problem else 200)


def _way_back(rollout: Rollout) -> dict[str, Any]:
    """What a rollback returns to what, in which order, and how long that takes (screens.md 2.8)."""
    way_back = overview.way_back(rollout)
    return {
        "way_back": way_back,
        "returning": len({row["service"] for row in way_back}),
        "traffic_first": overview.traffic_first(rollout),
        "stays": overview.what_stays(rollout),
        "usual": durations.usual(rollout, Direction.BACK),
        "forward_seconds": durations.spent_forward(rollout),
    }


def _titles() -> dict[str, str]:
    return {
        OrderKind.PAUSE: _("Pause"),
        OrderKind.RESUME: _("Resume"),
        OrderKind.STOP: _("Stop"),
        OrderKind.ROLLBACK: _("Roll back"),
        OrderKind.RETRY: _("Retry"),
        OrderKind.SKIP: _("Skip"),
    }
