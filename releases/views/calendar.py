"""The page of the calendar, the bar that says the line is stopped, and the panels that close and open it."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from approvals.calendar import live, operations, places, queries, zones
from approvals.calendar.models import EVERYWHERE, Freeze
from approvals.calendar.wording import sentence_of
from portal import access, clock
from portal.errors import NotFound
from portal.people.doors import browser_actor
from portal.people.models import User
from releases import openings
from releases.calendar_forms import ChangeFreezeForm, FreezeForm, StopForm
from releases.catalog.models import Environment
from releases.forms import ReasonForm, attach
from releases.reading import calendar
from releases.reading.lists import newest_event
from releases.views.answers import REFUSALS, go, is_fragment, person, refuse, sent

HERE = "calendar:page"


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """A month, or a week with a lane for each environment."""
    user = person(request)
    after = newest_event(live.TOPIC)
    today = timezone.localdate(clock.now())
    day = _day(request.GET.get("date", ""), today)
    is_week = request.GET.get("view") == "week"
    first, last = calendar.week_around(day) if is_week else calendar.month_around(day)
    view = calendar.view_of(user, first, last, month=None if is_week else day.month)
    context = {
        "view": view,
        "lanes": calendar.lanes_of(user, view) if is_week else [],
        "is_week": is_week,
        "day": day,
        "today": today,
        "before": first - timedelta(days=1) if is_week else day.replace(day=1) - timedelta(days=1),
        "after_it": last + timedelta(days=1)
        if is_week
        else (day.replace(day=1) + timedelta(days=31)).replace(day=1),
        "first": first,
        "last": last,
        "newest": after,
        "windows": _windows(user),
        "freezes": _freezes(user),
        "may_add": _may_add(user, queries.MAY_ADD),
        "may_stop": _may_add(user, queries.MAY_STOP),
    }
    return render(request, "calendar/page.html", context)


@require_safe
def line(request: HttpRequest) -> HttpResponse:
    """The bar of every page, alone: open pages fetch it when the line is stopped or goes again."""
    return render(request, "calendar/_line.html")


@require_http_methods(["GET", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Freeze a place from one time to another."""
    zone = timezone.get_current_timezone_name()
    form = FreezeForm(sent(request), user=person(request), initial={"zone": zone, "scope": EVERYWHERE})
    return _form(
        request, "freeze", form, lambda: operations.add_freeze(actor=browser_actor(request), **form.said())
    )


@require_http_methods(["GET", "POST"])
def stop(request: HttpRequest) -> HttpResponse:
    """Stop the line at once."""
    form = StopForm(sent(request), user=person(request), initial={"scope": EVERYWHERE})
    return _form(
        request, "stop", form, lambda: operations.stop_line(actor=browser_actor(request), **form.said())
    )


@require_http_methods(["GET", "POST"])
def lift(request: HttpRequest, pk: int) -> HttpResponse:
    """Lift a freeze, or let the stopped line go again."""
    user = person(request)
    freeze = _freeze(user, pk)
    now = clock.now()
    more = {
        "freeze": freeze,
        "title": queries.title_of(freeze),
        "state": queries.state_of(freeze, at=now),
        "may_lift": queries.may_lift(user, freeze, at=now),
        "may_change": queries.may_add(user, freeze.scope) or queries.may_lift(user, freeze, at=now),
        "lifters": queries.lifters(freeze),
        "passages": freeze.passages.select_related("by"),
    }

    def act() -> object:
        reason = request.POST.get("reason", "").strip()
        return operations.lift_freeze(pk, actor=browser_actor(request), reason=reason)

    return _form(request, "lift", ReasonForm(sent(request), needed=True), act, more)


@require_http_methods(["GET", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a freeze other times or another name."""
    freeze = _freeze(person(request), pk)
    if freeze.is_stop:
        raise NotFound
    is_holding = freeze.starts_at <= clock.now()
    form = ChangeFreezeForm(sent(request), user=person(request), freeze=freeze, is_holding=is_holding)

    def act() -> object:
        return operations.change_freeze(pk, actor=browser_actor(request), **form.said())

    return _form(request, "change", form, act, {"freeze": freeze, "is_holding": is_holding})


def _freeze(user: User, pk: int) -> Freeze:
    freeze = Freeze.objects.select_related("added_by", "lifted_by").filter(pk=pk).first()
    if freeze is None or not places.is_seen(user, freeze.scope):
        raise NotFound
    return freeze


def _form(
    request: HttpRequest,
    name: str,
    form: Any,
    act: Callable[[], object],
    more: dict[str, Any] | None = None,
) -> HttpResponse:
    """A page with one form: GET shows it, POST acts and leads to the calendar, a refusal says why."""
    template = f"calendar/panels/{'_' if is_fragment(request) else ''}{name}.html"
    context = {"form": form, **(more or {})}
    if request.method != "POST":
        return render(request, template, context)
    try:
        act()
    except REFUSALS as error:
        return refuse(request, template, {**context, "rest": attach(form, error.missing)}, error)
    return go(request, reverse(HERE))


def _day(text: str, today: date) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return today
    return found if zones.EARLIEST < found < zones.LATEST else today


def _windows(user: User) -> list[dict[str, Any]]:
    """Every environment with its windows, a sentence each, and whether the person may change them."""
    environments = list(access.visible(user, Environment))
    kept = openings.windows_by(environments)
    return [
        {
            "environment": each,
            "windows": [{"text": sentence_of(one.rule), "row": one.row} for one in kept[each.name]],
            "may_set": queries.may_set_windows(user, openings.scope_of(each.name)),
        }
        for each in environments
    ]


def _freezes(user: User) -> list[dict[str, Any]]:
    """What holds and what is planned, the nearest first."""
    now = clock.now()
    standing = queries.seen_by(user, list(queries.standing(now).select_related("added_by")))
    return [
        {"row": each, "title": queries.title_of(each), "state": queries.state_of(each, at=now)}
        for each in standing
    ]


def _may_add(user: User, roles: frozenset[Any]) -> bool:
    """Whether the person holds such a role anywhere; where it holds is asked when they press."""
    return any(role in roles for role, _scope in access.roles_of(user))
