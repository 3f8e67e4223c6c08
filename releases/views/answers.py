"""How the pages of a release answer: where to go after an act, and a refusal with what was typed."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.account.adapter import get_adapter
from allauth.mfa.utils import is_mfa_enabled
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from approvals import queries as approval_queries
from approvals.models import Request as ApprovalRequest
from portal import clock
from portal.api.models import IdempotencyKey
from portal.errors import Conflict, Invalid, NotAllowed, PermanentError, PortalError, TemporaryError
from portal.people.doors import browser_actor
from portal.people.models import User

REFUSALS = (Invalid, Conflict, NotAllowed, TemporaryError, PermanentError)
LONGEST_KEY = 64
# More digits than these are no key of the database.
LONGEST_NUMBER = 18
TYPED = "typed_before_second_factor"


def person(request: HttpRequest) -> User:
    """Who is signed in; every page here asks for that."""
    assert isinstance(request.user, User)
    return request.user


def is_fragment(request: HttpRequest) -> bool:
    """Whether a script asked for a part of the page."""
    return request.headers.get("HX-Request") == "true"


def sent(request: HttpRequest) -> QueryDict | None:
    """What a form was sent with, be it nothing; None before it was sent."""
    return request.POST if request.method == "POST" else None


def asked_number(request: HttpRequest, name: str) -> int | None:
    """The key that the address asks for by this name, such as `before`; None where it is no number."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None


def incident_typed(request: HttpRequest) -> dict[str, str] | None:
    """The incident for which something is drafted, as the address or the form names it."""
    typed = request.POST if request.method == "POST" else request.GET
    link, reason = typed.get("incident_link", ""), typed.get("incident_reason", "")
    return {"link": link, "reason": reason} if link else None


def go(request: HttpRequest, address: str) -> HttpResponse:
    """Lead the browser to an address after an act; where it is there already, the page draws itself anew."""
    if not is_fragment(request):
        return HttpResponseRedirect(address)
    answer = HttpResponse(status=200)
    here = urlsplit(request.headers.get("HX-Current-URL", "")).path
    if urlsplit(address).path == here:
        answer["HX-Trigger-After-Swap"] = "acted"
    else:
        answer["HX-Redirect"] = address
    return answer


def factor_step(request: HttpRequest, asked: ApprovalRequest | None, verdict: str) -> dict[str, Any]:
    """Where to show the second factor before deciding, and back here; empty where none is asked for now.

    What was typed is kept for the way back.
    """
    actor = browser_actor(request)
    if asked is None or not approval_queries.lacks_factor(asked, verdict, actor, now=clock.now()):
        return {}
    if request.method == "POST":
        typed = {name: request.POST.get(name, "") for name in ("reason", "for")}
        request.session[TYPED] = {"path": request.path, **typed}
    if not is_mfa_enabled(person(request)):
        return {"url": reverse("mfa_index"), "enrolled": False}
    back = urlencode({"next": request.path})
    ways = get_adapter(request).get_reauthentication_methods(person(request))
    return {"url": f"{ways[0]['url']}?{back}", "enrolled": True}


def typed_before(request: HttpRequest) -> dict[str, str]:
    """What was typed here before the way to the second factor (reason, for); it is handed out once."""
    kept = request.session.get(TYPED, {})
    if request.method != "GET" or kept.get("path") != request.path:
        return {}
    del request.session[TYPED]
    return {name: str(kept[name]) for name in ("reason", "for")}


def refusal_status(request: HttpRequest, error: PortalError) -> int:
    """The status of a refused form: scripts swap 409 and 422 only."""
    return error.status if error.status == Invalid.status or not is_fragment(request) else Conflict.status


def refuse(request: HttpRequest, template: str, context: dict[str, Any], error: PortalError) -> HttpResponse:
    """Show the same form with what was typed and why it was refused."""
    status = refusal_status(request, error)
    return render(request, template, {**context, "problem": error}, status=status)


def once(request: HttpRequest, act: Callable[[], str]) -> str:
    """Do an act once for the key in the form, and return the address that the act led to.

    A key that no form of ours has, with characters that no row can hold, is as good as none.

    Raises:
        Conflict: the first press under this key is still at work.
    """
    key = request.POST.get("once", "")[:LONGEST_KEY]
    if not key.isprintable() or not key:
        return act()
    user = person(request)
    kept = _claim(user, f"page:{key}")
    if kept.status is not None:
        return kept.body
    try:
        kept.body = act()
    except Exception:
        # What was done is gone with it, also where the portal itself failed: it can be pressed again.
        kept.delete()
        raise
    kept.status = 302
    kept.save(update_fields=["body", "status"])
    return kept.body


def _claim(user: User, key: str) -> IdempotencyKey:
    """A fresh row for the key, or the one with the answer; a row without an answer is at work."""
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(user=user, key=key, created_at=clock.now())
    except IntegrityError:
        kept = IdempotencyKey.objects.get(user=user, key=key)
    if kept.status is None:
        raise Conflict(_("The same form is being worked on. Look at the list in a moment."))
    return kept
