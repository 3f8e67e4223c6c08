"""The panels that say when an environment is open: what it would do is shown before it is saved."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from approvals.calendar import operations, queries
from approvals.calendar.models import OpenHours
from approvals.calendar.wording import sentence_of
from portal import access
from portal.errors import Invalid, NotFound
from portal.people.doors import browser_actor
from releases import openings
from releases.calendar_forms import HoursForm, hours_initial
from releases.catalog.models import Environment
from releases.forms import ReasonForm, attach
from releases.reading.windows import Effect, effect_of
from releases.views.answers import REFUSALS, go, is_fragment, person, refuse, sent

HERE = "calendar:page"


@require_http_methods(["GET", "POST"])
def add(request: HttpRequest, name: str) -> HttpResponse:
    """Add hours to those in which an environment is open."""
    environment: Environment = access.get_or_404(person(request), Environment, name=name)
    scope = openings.scope_of(environment.name)
    form = HoursForm(sent(request), initial={"zone": timezone.get_current_timezone_name()})

    def act(said: dict[str, Any]) -> object:
        return operations.add_window(actor=browser_actor(request), scope=scope, **said)

    return _hours(request, environment, form, act, here=request.path)


@require_http_methods(["GET", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Put other hours in the place of a window."""
    hours, environment = _found(request, pk)
    form = HoursForm(sent(request), initial=hours_initial(hours))

    def act(said: dict[str, Any]) -> object:
        return operations.change_window(pk, actor=browser_actor(request), **said)

    return _hours(request, environment, form, act, here=request.path, instead_of=hours)


@require_http_methods(["GET", "POST"])
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a window away, seeing what is open then."""
    hours, environment = _found(request, pk)
    form = ReasonForm(sent(request), needed=True)
    effect = effect_of(person(request), environment, window=None, instead_of=hours)
    template = _template(request, "window_end")
    context = {**_context(request, environment, hours), "form": form, "effect": effect, "here": request.path}
    if request.method != "POST":
        return render(request, template, context)
    try:
        reason = request.POST.get("reason", "").strip()
        operations.end_window(pk, actor=browser_actor(request), reason=reason)
    except REFUSALS as error:
        return refuse(request, template, {**context, "rest": attach(form, error.missing)}, error)
    return go(request, reverse(HERE))


def _hours(
    request: HttpRequest,
    environment: Environment,
    form: HoursForm,
    act: Callable[[dict[str, Any]], object],
    *,
    here: str,
    instead_of: OpenHours | None = None,
) -> HttpResponse:
    """Show what the hours that were typed would do; they are saved once just these were looked at."""
    template = _template(request, "window")
    context = {**_context(request, environment, instead_of), "form": form, "here": here}
    if request.method != "POST":
        return render(request, template, context)
    window = form.window()
    if window is None:
        return refuse(request, template, context, Invalid())
    effect: Effect = effect_of(person(request), environment, window=window, instead_of=instead_of)
    context |= {"effect": effect, "seal": form.seal(), "text": sentence_of(window)}
    if request.POST.get("seen") != form.seal():
        form.errors.pop("reason", None)  # it is asked for beside what was shown
        return render(request, template, context)
    if form.errors:
        return refuse(request, template, context, Invalid())
    try:
        act({"window": window, "reason": form.cleaned_data["reason"]})
    except REFUSALS as error:
        return refuse(request, template, {**context, "rest": attach(form, error.missing)}, error)
    return go(request, reverse(HERE))


def _context(request: HttpRequest, environment: Environment, hours: OpenHours | None) -> dict[str, Any]:
    scope = openings.scope_of(environment.name)
    return {
        "environment": environment,
        "hours": hours,
        "present": sentence_of(queries.window_of(hours)) if hours else "",
        "may_set": queries.may_set_windows(person(request), scope),
        "setters": queries.who_sets_windows(scope),
    }


def _found(request: HttpRequest, pk: int) -> tuple[OpenHours, Environment]:
    """A window that stands, with its environment; one that was ended is looked for on the calendar."""
    hours = OpenHours.objects.filter(pk=pk).first()
    if hours is None:
        raise NotFound
    name = hours.scope.partition(":")[2]
    environment: Environment = access.get_or_404(person(request), Environment, name=name)
    return hours, environment


def _template(request: HttpRequest, name: str) -> str:
    return f"calendar/panels/{'_' if is_fragment(request) else ''}{name}.html"
