"""Letting a breach pass: the panel that asks why, and the press (screens.md 2.9)."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from portal.errors import NotFound
from portal.people.doors import browser_actor
from releases import gates, queries
from releases.forms import ReasonForm, attach
from releases.models import Release
from releases.operations.gates import ignore_breach
from releases.reading import life
from releases.views.answers import REFUSALS, go, is_fragment, person, refuse, sent


@require_http_methods(["GET", "POST"])
def ignore(request: HttpRequest, number: int, gate_id: int) -> HttpResponse:
    """Ask why one breach is ignored, and keep the reason."""
    release = queries.detail(person(request), number)
    form = ReasonForm(sent(request), needed=True)
    back = life.rollout_address(release) or reverse("releases:detail", args=[number])
    context = {"release": release, "view": _view(release, gate_id), "form": form, "back": back}
    template = f"releases/panels/{'_' if is_fragment(request) else ''}ignore.html"
    if request.method != "POST":
        return render(request, template, context)
    seen = request.POST.get("breach", "")
    try:
        ignore_breach(
            number,
            gate_id,
            actor=browser_actor(request),
            reason=request.POST.get("reason", ""),
            breach=int(seen) if seen.isdecimal() and len(seen) < 10 else 0,
        )
    except REFUSALS as error:
        rest = attach(form, error.missing)
        fresh = {"view": _view(release, gate_id), "rest": rest}
        return refuse(request, template, {**context, **fresh}, error)
    return go(request, back)


def _view(release: Release, gate_id: int) -> gates.GateView:
    found = next((view for view in gates.gates_of(release) if view.gate.pk == gate_id), None)
    if found is None:
        raise NotFound
    return found
