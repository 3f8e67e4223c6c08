"""The pages on which people let others decide for them, and administrators see to it (screens.md 2.14)."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from portal.delegations import queries
from portal.delegations.forms import DelegationForm, GiverForm
from portal.delegations.operations import end_delegation, give_delegation
from portal.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError
from portal.people.doors import browser_actor
from portal.people.models import Delegation, User

SHOWN = 50


@never_cache
@require_http_methods(["GET", "POST"])
def mine(request: HttpRequest) -> HttpResponse:
    """Show what a person gave and was given; give one more."""
    person = _person(request)
    form = DelegationForm(request.POST if request.method == "POST" else None, giver=person)
    if request.method == "POST":
        return _give(request, form, template="delegations/mine.html", context=_mine(person))
    return render(request, "delegations/mine.html", {**_mine(person), "form": form})


@never_cache
@require_http_methods(["GET", "POST"])
def everybody(request: HttpRequest) -> HttpResponse:
    """Show administrators and auditors every delegation; the former give one for somebody who is away."""
    person = _person(request)
    if not queries.sees_everybody(person):
        raise NotAllowed(_("Only administrators and auditors see everybody's delegations."))
    administers = queries.administers(person)
    choice = GiverForm(request.GET if administers else {})
    giver = choice.cleaned_data["giver"] if choice.is_valid() else None
    context = {
        "choice": choice,
        "administers": administers,
        "giver": giver,
        "rows": _standing(queries.visible_to(person)),
    }
    if giver is None:
        return render(request, "delegations/everybody.html", context)
    form = DelegationForm(request.POST if request.method == "POST" else None, giver=giver)
    if request.method == "POST":
        return _give(request, form, template="delegations/everybody.html", context=context)
    return render(request, "delegations/everybody.html", {**context, "form": form})


@never_cache
@require_http_methods(["GET", "POST"])
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether a delegation shall end now, and end it."""
    person = _person(request)
    row = queries.visible_to(person).filter(pk=pk).first()
    if row is None:
        raise NotFound
    back = "delegations:mine" if person.pk == row.giver_id else "delegations:everybody"
    context: dict[str, Any] = {"each": queries.standing_of(queries.visible_to(person).filter(pk=pk))[0]}
    context["may"] = person.pk == row.giver_id or queries.administers(person)
    if request.method != "POST":
        return render(request, "delegations/end.html", context)
    try:
        end_delegation(pk, actor=browser_actor(request), reason=request.POST.get("reason", "").strip())
    except (Conflict, NotAllowed, Invalid) as error:
        return _refused(request, "delegations/end.html", context, error)
    messages.success(request, _("The delegation has ended."))
    return redirect(back)


def _give(
    request: HttpRequest, form: DelegationForm, *, template: str, context: dict[str, Any]
) -> HttpResponse:
    context = {**context, "form": form}
    if not form.is_valid():
        return render(request, template, context, status=Invalid.status)
    try:
        given = give_delegation(**form.as_data(), actor=browser_actor(request))
    except Invalid as error:
        form.blame(error.missing)
        return render(request, template, context, status=error.status)
    except (Conflict, NotAllowed) as error:
        return _refused(request, template, context, error)
    text = _("{taker} decides for {giver}").format(taker=given.taker, giver=given.giver)
    messages.success(request, text)
    return redirect(request.get_full_path())


def _refused(
    request: HttpRequest, template: str, context: dict[str, Any], error: PortalError
) -> HttpResponse:
    return render(request, template, {**context, "problem": error}, status=error.status)


def _mine(person: User) -> dict[str, Any]:
    rows = queries.visible_to(person)
    return {
        "given": _standing(rows.filter(giver=person)),
        "taken": _standing(rows.filter(taker=person)),
        "may_give": queries.may_give(person),
        "sees_everybody": queries.sees_everybody(person),
    }


def _standing(rows: QuerySet[Delegation]) -> list[queries.Standing]:
    """The open ones and then the newest of the others, as many as a page bears."""
    found = queries.standing_of(rows[:SHOWN])
    return sorted(found, key=lambda each: not each.is_open)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
