"""The record's pages: a list with filters, one entry, the chain's state, and the export."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from portal.audit import download as downloads
from portal.audit import operations, queries, retention, wording
from portal.audit.actions import ACTIONS
from portal.audit.forms import SearchForm
from portal.audit.keys import signer
from portal.audit.models import AuditEntry
from portal.audit.readers import require_reader
from portal.errors import NotFound
from portal.sentences import WHY, said

ROWS = 50
SHOWN_CHECKPOINTS = 5
HIGHEST = 2**62


@require_safe
def entry_list(request: HttpRequest) -> HttpResponse:
    """Show entries that match, newest first, and how the chain stands."""
    require_reader(request.user)
    form = SearchForm(request.GET)
    if not form.is_valid():
        return render(request, "audit/list.html", {"form": form, **_chain()}, status=422)
    found = queries.entries(form.search())
    before = _before(request)
    if before is not None:
        found = found.filter(number__lt=before)
    rows = list(found[: ROWS + 1])
    following = rows[ROWS - 1].number if len(rows) > ROWS else None
    context = {"form": form, "rows": _rows(rows[:ROWS]), **_chain()}
    context["kept"] = _kept()
    context["next_query"] = _query(request, before=following) if following else ""
    context["export_query"] = _query(request, before=None)
    context["csv_query"] = "&".join(part for part in (context["export_query"], "format=csv") if part)
    return render(request, "audit/list.html", context)


@require_safe
def entry_detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show one entry whole, with its place in the chain."""
    require_reader(request.user)
    entry = AuditEntry.objects.filter(number=number).first() if number <= HIGHEST else None
    if entry is None:
        raise NotFound
    (row,) = _rows([entry])
    text = json.dumps(row["body"], ensure_ascii=False, indent=2)
    return render(request, "audit/detail.html", {**row, "text": text, **_chain()})


@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """Let the whole chain be verified; the page says how far it is."""
    require_reader(request.user)
    operations.start_verification(request.user.get_username())
    return redirect("audit:list")


@require_safe
def chain(request: HttpRequest) -> HttpResponse:
    """How the chain stands, alone: fetched again while it is verified."""
    require_reader(request.user)
    return render(request, "audit/_chain.html", _chain())


@require_safe
def download(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Stream the matching entries, or the whole record with what verifies it."""
    require_reader(request.user)
    form = SearchForm(request.GET)
    if not form.is_valid():
        return render(request, "audit/list.html", {"form": form, **_chain()}, status=422)
    return downloads.answer(request, request.GET.get("format") or "jsonl", form.search())


@require_POST
def sign(request: HttpRequest) -> HttpResponse:
    """Sign the newest entry now."""
    require_reader(request.user)
    operations.sign_head()
    return redirect("audit:list")


def _chain() -> dict[str, Any]:
    newest = queries.last_verification()  # before the rest: what happens meanwhile is drawn again
    return {
        "head": queries.head(),
        "check": queries.last_check(),
        "checkpoints": queries.checkpoints()[:SHOWN_CHECKPOINTS],
        "unsigned": queries.unsigned(),
        "signs": signer() is not None,
        "running": newest if newest and newest.running else None,
        "topic": queries.TOPIC,
        "drawn_after": newest.told if newest else 0,
    }


def _kept() -> dict[str, Any]:
    """For how long entries are kept, what may go now, and what is gone."""
    years, removal = retention.years_kept(), queries.last_removal()
    return {
        "years": years,
        "old": retention.plan(years) if years > 0 else None,
        "removal": removal,
        "gone": queries.body_of(removal)["after"].get("last") if removal else None,
    }


def _rows(entries: Sequence[AuditEntry]) -> list[dict[str, Any]]:
    bodies = {entry.pk: queries.body_of(entry) for entry in entries}
    involved = {body["actor"][side] for body in bodies.values() for side in ("name", "on_behalf_of")}
    people = {user.username: user for user in get_user_model().objects.filter(username__in=involved)}
    return [_row(entry, bodies[entry.pk], people) for entry in entries]


def _row(entry: AuditEntry, body: dict[str, Any], people: Mapping[str, Any]) -> dict[str, Any]:
    actor = body["actor"]
    return {
        "entry": entry,
        "body": body,
        "what": ACTIONS.get(entry.action, entry.action),
        "reason": said(body["after"], body["reason"]),
        "who": people.get(actor["name"]),
        "giver": people.get(actor["on_behalf_of"]),
        "door": wording.door_name(actor["door"]),
        "subject": wording.subject_name(entry.subject_kind),
        "changes": [
            {
                "name": wording.field_name(name),
                "before": wording.value_text(name, body["before"].get(name)),
                "after": wording.value_text(name, body["after"].get(name)),
            }
            for name in sorted({*body["before"], *body["after"]})
            if not (name == WHY and isinstance(body["after"].get(name), dict))
        ],
    }


def _before(request: HttpRequest) -> int | None:
    text = request.GET.get("before", "")
    if not text:
        return None
    if not text.isdecimal() or int(text) > HIGHEST:
        raise NotFound
    return int(text)


def _query(request: HttpRequest, *, before: int | None) -> str:
    query = request.GET.copy()
    query.pop("before", None)
    if before is not None:
        query["before"] = str(before)
    return query.urlencode()
