"""Composing: a new draft from ticked services, and the page on which a draft is finished."""

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import access
from portal.errors import Invalid, PortalError
from portal.people.doors import browser_actor
from portal.people.models import User
from releases import queries
from releases.catalog.models import Environment, Service
from releases.forms import items_data
from releases.models import Release
from releases.open_incidents import OpenIncident, named, open_incidents
from releases.operations.create import create_release
from releases.operations.edit import edit_release
from releases.reading import composing, deciding, life, lists
from releases.together import looks_like_one
from releases.views import parts
from releases.views.answers import REFUSALS, go, incident_typed, is_fragment, once, person, refusal_status
from releases.views.parts import Part


@require_http_methods(["GET", "POST"])
def new_release(request: HttpRequest) -> HttpResponse:
    """Choose an environment, tick services, and make the draft."""
    user = person(request)
    if request.method != "POST":
        return render(request, "releases/new.html", _new_context(request, user))
    try:
        return go(request, once(request, lambda: _create(request)))
    except REFUSALS as error:
        context = {**_new_context(request, user, error), "problem": error}
        return render(request, "releases/new.html", context, status=error.status)


@require_safe
def edit(request: HttpRequest, number: int) -> HttpResponse:
    """Show the five parts of a draft, each a form of its own."""
    release = _editable(request, number)
    return render(request, "releases/edit.html", _edit_context(request, release))


@require_http_methods(["GET", "POST"])
def save_part(request: HttpRequest, number: int, name: str) -> HttpResponse:
    """Save one part; adding and removing rows only draws it anew."""
    release = _editable(request, number)
    if request.method != "POST":
        return redirect(reverse("releases:edit", args=[number]) + f"#part-{name}")
    part = parts.typed(name, release, person(request), request.POST)
    if "add" in request.POST or "remove" in request.POST:
        return _draw(request, release, part)
    try:
        data = part.data()
        seen = request.POST.get("content_digest", "")
        edit_release(number, data, actor=browser_actor(request), if_match=seen)
    except REFUSALS as error:
        part.blame(error)
        return _draw(request, queries.detail(person(request), number), part, error=error)
    if not is_fragment(request):
        return redirect(reverse("releases:edit", args=[number]) + f"#part-{name}")
    release = queries.detail(person(request), number)
    return _draw(request, release, parts.stored(name, release, person(request)), saved=True)


@require_POST
def preview(request: HttpRequest, number: int) -> HttpResponse:
    """The announcement with what is typed and not yet saved."""
    release = _editable(request, number)
    text = composing.preview(release, request.POST)
    return render(request, "releases/compose/_preview_text.html", {"preview": text, "release": release})


def _create(request: HttpRequest) -> str:
    environment = request.POST.get("environment", "")
    data: dict[str, object] = {"environment": environment, "items": items_data(request.POST)}
    if incident := incident_typed(request):
        offered = _incidents_for(person(request), environment)
        data |= {"grade": "E", "incident": named(incident["link"], incident["reason"], offered)}
    release = create_release(data, actor=browser_actor(request))
    return reverse("releases:edit", args=[release.number])


def _new_context(request: HttpRequest, user: User, error: PortalError | None = None) -> dict[str, Any]:
    typed = request.POST if request.method == "POST" else request.GET
    environments = _composable(user)
    environment = _chosen(environments, typed.get("environment", ""))
    versions = {item["service"]: item["version"] for item in items_data(typed)}
    errors = _errors_by_service(error, list(versions)) if isinstance(error, Invalid) else {}
    asked, offered = incident_typed(request), _incidents_for(user, environment.name if environment else "")
    # What led here says its reason; what was chosen on the page does not.
    is_chosen = asked is not None and not asked["reason"] and asked["link"] in {each.link for each in offered}
    return {
        "environments": environments,
        "environment": environment,
        "picks": composing.picks(user, environment, chosen=versions, errors=errors) if environment else [],
        "incident": None if is_chosen else asked,
        "incidents": offered,
        "incident_link": asked["link"] if asked and is_chosen else "",
        "once": typed.get("once") or secrets.token_hex(16),
    }


def _incidents_for(user: User, environment: str) -> list[OpenIncident]:
    """The open incidents of the environment's system."""
    found = access.visible(user, Environment).filter(name=environment).first()
    return open_incidents(user, found.system) if found else []


def _composable(user: User) -> list[Environment]:
    """Environments in which the person may compose at least one service."""
    mine = access.visible(user, Service, "compose").values("pk")
    found = access.visible(user, Environment).filter(services__in=mine).distinct()
    return sorted(found, key=lambda each: (each.system, each.stage != "production", each.name))


def _chosen(environments: list[Environment], name: str) -> Environment | None:
    """The named environment, else the first."""
    return next(
        (each for each in environments if each.name == name), environments[0] if environments else None
    )


def _errors_by_service(error: PortalError, services: list[str]) -> dict[str, str]:
    found = {}
    for fault in error.missing:
        _name, _dot, place = str(fault.get("field", "")).partition(".")
        number = place.partition(".")[0]
        if number.isdigit() and int(number) < len(services):
            found[services[int(number)]] = str(fault["text"])
    return found


def _editable(request: HttpRequest, number: int) -> Release:
    return queries.detail(person(request), number)


def _edit_context(request: HttpRequest, release: Release, typed: Part | None = None) -> dict[str, Any]:
    user = person(request)
    every = {name: parts.stored(name, release, user) for name in parts.names_of(release)}
    if typed is not None:
        every[typed.name] = typed
    context: dict[str, Any] = {
        "release": release,
        "may_edit": queries.may_edit(release, user),
        "may_withdraw": life.may_withdraw(release, user),
        "may_duplicate": queries.may_duplicate(release, user),
        "preview": composing.preview(release),
        "points": composing.open_points(release),
        "requirements": [row for row in queries.requirements_of(release) if row.phase != "signoff"],
        "reasons": deciding.reasons_of(release),
        "together": looks_like_one(release),
        "last_event": lists.newest_event(release.topic),
        "part_names": parts.names_of(release),
    }
    for part in every.values():
        context.update(part.context(user))
    return context


def _draw(
    request: HttpRequest,
    release: Release,
    part: Part,
    *,
    error: PortalError | None = None,
    saved: bool = False,
) -> HttpResponse:
    context = {
        **_edit_context(request, release, part),
        "problem": error,
        "problem_part": part.name,
        "saved": saved,
    }
    template = f"releases/compose/_answer_{part.name}.html" if is_fragment(request) else "releases/edit.html"
    status = refusal_status(request, error) if error else 200
    return render(request, template, {**context, "part": part.name}, status=status)
