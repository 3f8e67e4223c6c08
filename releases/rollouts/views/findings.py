"""Unapproved changes: the list, the page of one, and the panels that settle it (screens.md 2.2)."""

import secrets
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from portal.actors import Actor
from portal.errors import Conflict, NotFound
from portal.people.doors import browser_actor
from releases.forms import ReasonForm, attach
from releases.reading.lists import environments_of, newest_event, newest_events
from releases.rollouts.findings import operations, queries
from releases.views.answers import REFUSALS, asked_number, go, is_fragment, once, person, refuse, sent

PAGE_SIZE = 50
ACTS = ("adopt", "explain", "put-back")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show what runs that nobody approved."""
    return render(request, "findings/list.html", _list(request))


@require_safe
def part(request: HttpRequest) -> HttpResponse:
    """The rows alone."""
    return render(request, "findings/_rows.html", _list(request))


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what differs, who wrote it, and what can be done about it."""
    return render(request, "findings/detail.html", _finding(request, pk))


@require_safe
def detail_part(request: HttpRequest, pk: int) -> HttpResponse:
    """The same without the frame."""
    return render(request, "findings/_finding.html", _finding(request, pk))


@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Ask before a finding is settled, and settle it."""
    if kind not in ACTS:
        raise NotFound
    needs_reason = kind != "put-back"
    form = ReasonForm(sent(request), needed=needs_reason)
    key = request.POST.get("once") or secrets.token_hex(16)
    context = {**_finding(request, pk), "kind": kind, "form": form, "title": _titles()[kind], "once": key}
    template = f"findings/{'_' if is_fragment(request) else ''}act.html"
    if request.method != "POST":
        return render(request, template, context)
    try:
        address = once(request, lambda: _act(request, pk, kind))
    except REFUSALS as error:
        fresh = {**_finding(request, pk), "rest": attach(form, error.missing)}
        return refuse(request, template, {**context, **fresh}, error)
    return go(request, address)


def _act(request: HttpRequest, pk: int, kind: str) -> str:
    """Do it, and say where to go."""
    actor = browser_actor(request)
    if kind == "put-back":
        return _put_back(pk, actor)
    settle = {"adopt": operations.adopt, "explain": operations.explain}[kind]
    mark = request.POST.get("mark", "")[:64]
    settle(pk, actor=actor, reason=request.POST.get("reason", ""), mark=mark)
    return reverse("finding", args=[pk])


def _put_back(pk: int, actor: Actor) -> str:
    """Make the draft, or lead to the one that somebody else has made."""
    try:
        release = operations.put_back(pk, actor=actor)
    except Conflict:
        finding = operations.find(pk, actor=actor)
        if not operations.has_draft(finding):
            raise
        return reverse("releases:detail", args=[finding.put_back_by_id])
    return reverse("releases:edit", args=[release.number])


def _titles() -> dict[str, str]:
    return {"adopt": _("Adopt what runs"), "explain": _("Explain"), "put-back": _("Put back")}


def _finding(request: HttpRequest, pk: int) -> dict[str, Any]:
    actor = browser_actor(request)
    finding = operations.find(pk, actor=actor)
    topic = f"board.{finding.environment.name}"
    # The number is read first: what is newer asks again.
    newest = newest_event(topic)
    finding.refresh_from_db()
    return {**queries.view_of(finding, actor), "topic": topic, "newest": newest}


def _list(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    view, before = request.GET.get("view", ""), asked_number(request, "before")
    view = view if view in queries.VIEWS else ""
    names = [f"board.{environment.name}" for environment in environments_of(user)]
    topics = newest_events(names)
    found = queries.visible_findings(user, view=view).order_by("-pk")
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found[: PAGE_SIZE + 1])
    last = rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None
    labels = {"": _("Standing"), "open": _("To decide"), "over": _("Over")}
    return {
        "rows": queries.rows_of(rows[:PAGE_SIZE]),
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
