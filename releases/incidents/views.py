"""Incidents: the list, the page of one, and the panels of what is done about it (screens.md 2.10)."""

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import access
from portal.errors import Conflict, Invalid, NotFound, PermanentError, TemporaryError, field_error
from portal.people.doors import browser_actor
from portal.people.models import User
from releases.forms import attach
from releases.incidents import notices, operations, queries, wording
from releases.incidents.forms import CorrectForm, LinkForm, ServiceForm, UnlinkForm, WordsForm
from releases.incidents.models import Incident
from releases.incidents.states import IncidentState
from releases.operating import OperationKind
from releases.reading.lists import environments_of, newest_event, newest_events
from releases.rollouts import queries as rollout_queries
from releases.rollouts.looking import Look, look
from releases.rollouts.models import Rollout
from releases.rollouts.pod_logs import Asked, tail
from releases.rollouts.queries import visible_rollout
from releases.views.answers import REFUSALS, asked_number, go, is_fragment, once, person, refuse, sent

PAGE_SIZE = 50
LOG_LINES = 20
# The pod whose log is shown: the worst.
WORST_FIRST = ("degraded", "progressing", "unknown", "healthy")
TITLES: dict[str, str | Promise] = {
    "note": gettext_lazy("Note"),
    "tell": gettext_lazy("Tell the team"),
    "link": gettext_lazy("Link a release"),
    "close": gettext_lazy("Close the incident"),
    "correct": gettext_lazy("Correct"),
    "unlink": gettext_lazy("Take a link back"),
}
# Acts of a closed incident as well; they stand beside what they change.
CORRECTING = ("correct", "unlink")
ACTS: dict[str, Callable[..., object]] = {
    "note": operations.note,
    "tell": operations.tell_team,
    "link": operations.link_release,
    "close": operations.close_incident,
    "correct": operations.correct_incident,
    "unlink": operations.unlink_release,
}


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the incidents."""
    return render(request, "incidents/list.html", _list(request))


@require_safe
def part(request: HttpRequest) -> HttpResponse:
    """The rows alone."""
    return render(request, "incidents/_rows.html", _list(request))


@require_POST
def open_here(request: HttpRequest, name: str, env: str) -> HttpResponse:
    """Open an incident of a service with one press, or come to the one that is open."""
    rollout = request.POST.get("rollout", "")
    number = int(rollout) if rollout.isascii() and rollout.isdecimal() and len(rollout) < 19 else None
    incident, _made = operations.open_incident(name, env, actor=browser_actor(request), rollout=number)
    return go(request, reverse("incidents:detail", args=[incident.number]))


@require_http_methods(["GET", "HEAD", "POST"])
def open_for_rollout(request: HttpRequest, rollout: int) -> HttpResponse:
    """Ask which service of a failed rollout is in trouble, and open an incident of it, or of each."""
    found = visible_rollout(person(request), rollout)
    form = ServiceForm(sent(request), services=_said_of_services(found, person(request)))
    context = {"rollout": found, "form": form}
    template = f"incidents/panels/{'_' if is_fragment(request) else ''}open.html"
    if request.method != "POST":
        return render(request, template, context)
    if not form.is_valid():
        return render(request, template, context, status=Invalid.status)
    opened = operations.open_for_rollout(rollout, form.name, actor=browser_actor(request))
    alone = len(opened) == 1
    place = reverse("incidents:detail", args=[opened[0].number]) if alone else reverse("incidents:list")
    return go(request, place)


@require_safe
def detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show what is wrong, what went out, and what can be done."""
    return render(request, "incidents/detail.html", _incident(request, number))


@require_safe
def detail_part(request: HttpRequest, number: int) -> HttpResponse:
    """The same without the frame."""
    return render(request, "incidents/_incident.html", _incident(request, number))


@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, number: int, kind: str) -> HttpResponse:
    """Ask for the words of an act, and do it once for each form."""
    incident = operations.find(number, actor=browser_actor(request))
    if kind not in ACTS:
        raise NotFound
    form = _form(kind, request, incident)
    context = {
        "incident": incident,
        "kind": kind,
        "title": TITLES[kind],
        "form": form,
        "team": notices.team_of(incident) if kind == "tell" else [],
        "mark": queries.mark_of(incident) if kind == "correct" else "",
        "once": request.POST.get("once") or secrets.token_hex(16),
    }
    template = f"incidents/panels/{'_' if is_fragment(request) else ''}act.html"
    if request.method != "POST":
        return render(request, template, context)
    try:
        return go(request, once(request, lambda: _act(request, number, kind, form)))
    except REFUSALS as error:
        rest = attach(form, error.missing)
        return refuse(request, template, {**context, "rest": rest}, error)


def _said_of_services(rollout: Rollout, user: User) -> dict[str, str]:
    """Each service with the incident that is open there already."""
    services = queries.services_of(rollout, user)
    standing = queries.ongoing_among(services, rollout.environment)
    there = _("{service} (incident {number} is open)")
    return {
        each.name: there.format(service=each.name, number=standing[each.pk].number)
        if each.pk in standing
        else each.name
        for each in services
    }


def _form(kind: str, request: HttpRequest, incident: Incident) -> forms.Form:
    data = sent(request)
    if kind == "correct":
        # As the widget shows it, so that what nobody touched is no change.
        since = incident.began_at.replace(second=0, microsecond=0)
        return CorrectForm(data, initial={"title": incident.title, "began_at": since})
    if kind == "unlink":
        return UnlinkForm(data, releases=queries.linked_with(incident, person(request)))
    if kind == "link":
        return LinkForm(data)
    name = "cause" if kind == "close" else "text"
    initial = {"text": wording.first_words(incident)} if kind == "tell" else {}
    labels = {"note": _("What was seen or done"), "tell": _("Notice"), "close": _("Cause")}
    return WordsForm(data, name=name, label=labels[kind], initial=initial)


def _act(request: HttpRequest, number: int, kind: str, form: forms.Form) -> str:
    if not form.is_valid():
        faults = [field_error(name, str(text)) for name, texts in form.errors.items() for text in texts]
        raise Invalid(missing=faults)
    said = form.cleaned_data
    if isinstance(form, CorrectForm):
        said = {**form.changed, "mark": request.POST.get("mark")}
    ACTS[kind](number, actor=browser_actor(request), **said)
    return reverse("incidents:detail", args=[number])


def _incident(request: HttpRequest, number: int) -> dict[str, Any]:
    user = person(request)
    incident = operations.find(number, actor=browser_actor(request))
    service, environment = incident.service, incident.environment
    topic = f"board.{environment.name}"
    # The number is read first: what is newer asks again.
    newest = newest_event(topic)
    incident.refresh_from_db()
    out = queries.went_out(incident)
    is_ongoing = incident.state == IncidentState.ONGOING
    may_correct = access.allowed(user, operations.RIGHT, environment)
    may_act = is_ongoing and may_correct
    return {
        "incident": incident,
        "service": service,
        "environment": environment,
        "clock": queries.clock_of(incident),
        "went_out": out,
        "moments": [(each, wording.HAPPENED[each.what]) for each in queries.timeline(incident, out, user)],
        "releases": queries.releases_of(incident, user),
        "linked": queries.linked_with(incident, user) if may_correct else [],
        "may_correct": may_correct,
        "may_act": may_act,
        "may_compose": is_ongoing and access.allowed(user, "compose", service),
        "back": queries.way_back(incident) if may_act else None,
        "acts": [(kind, title) for kind, title in TITLES.items() if kind not in CORRECTING],
        **_drafts(incident),
        "topic": topic,
        "newest": newest,
        **(_now(incident, user) if is_ongoing else {}),
    }


def _drafts(incident: Incident) -> dict[str, str]:
    """Where a restart and an urgent release are drafted, each naming the incident."""
    place = {"environment": incident.environment.name, "service": incident.service.name}
    named = {"incident_link": queries.link_of(incident), "incident_reason": incident.title}
    restart = reverse("service-operate", args=[place["service"], place["environment"], OperationKind.RESTART])
    return {
        "restart_url": f"{restart}?{urlencode(named)}",
        "urgent_url": f"{reverse('releases:new')}?{urlencode({**place, **named})}",
    }


def _now(incident: Incident, user: User) -> dict[str, Any]:
    """How the service stands: what the watcher saw last, and one bounded look with the end of a log."""
    service, environment = incident.service, incident.environment
    seen = look(service, environment)
    return {
        "cell": rollout_queries.cell_of(service, environment),
        "seen": seen,
        **_log(incident, seen, user),
    }


def _log(incident: Incident, seen: Look, user: User) -> dict[str, Any]:
    """The end of the log of the worst pod, or why there is none."""
    pods = sorted(seen.pods, key=lambda pod: WORST_FIRST.index(pod.health))
    if not pods:
        return {}
    asked = Asked(pod=pods[0].name, lines=LOG_LINES)
    try:
        return {"pod": pods[0], "tail": tail(incident.service, incident.environment, asked, reader=user)}
    except (TemporaryError, PermanentError, Conflict, NotFound) as error:
        return {"pod": pods[0], "log_problem": error}


def _list(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    view, before = request.GET.get("view", ""), asked_number(request, "before")
    view = view if view in queries.VIEWS else ""
    topics = newest_events([f"board.{environment.name}" for environment in environments_of(user)])
    found = queries.visible_incidents(user, view=view)
    if before is not None:
        found = found.filter(number__lt=before)
    rows = list(found[: PAGE_SIZE + 1])
    last = rows[PAGE_SIZE - 1].number if len(rows) > PAGE_SIZE else None
    labels = {"": _("Ongoing"), "closed": _("Closed")}
    return {
        "rows": rows[:PAGE_SIZE],
        "views": [
            {"label": label, "url": _address(view=name), "current": name == view}
            for name, label in labels.items()
        ],
        "view": view,
        "address": _address(view=view, before=str(before or "")),
        "next_url": _address(view=view, before=str(last)) if last else "",
        "topics": topics,
    }


def _address(**words: str) -> str:
    return "?" + urlencode({name: value for name, value in words.items() if value})
