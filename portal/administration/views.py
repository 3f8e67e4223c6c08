"""The list of people and the page of one, for administrators, and for auditors to read (screens.md, 2.13)."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.administration import operations, queries
from portal.administration.acts import ACTS, Act
from portal.administration.forms import RoleForm
from portal.api.paging import PageQuery, page
from portal.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError
from portal.people import operations as people_operations
from portal.people.doors import browser_actor
from portal.people.models import User
from portal.people.operations import require_administrator
from portal.people.queries import capacities
from portal.ui.looks import role_name, scope_name

SHOWN = 50
LONGEST_REASON = 500
STANDINGS = {"open": True, "closed": False}


@never_cache
@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """List people by account, those whose name has what was searched for."""
    _require_reader(request)
    text = request.GET.get("text", "").replace("\x00", "").strip()[:80]
    standing = request.GET.get("standing", "")
    found = queries.people(text, active=STANDINGS.get(standing))
    query = PageQuery(limit=SHOWN, cursor=request.GET.get("cursor") or None)
    part = page(found, query=query, key="username", descending=False)
    context = {"people": part.rows, "next": part.next, "text": text, "standing": standing}
    return render(request, "administration/people.html", context)


@never_cache
@require_safe
def person(request: HttpRequest, username: str) -> HttpResponse:
    """Show what one person holds and how they come in."""
    reader = _require_reader(request)
    context = {**queries.account(_person(username), reader=reader), "role_form": RoleForm()}
    return render(request, "administration/person.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
def act(request: HttpRequest, username: str, name: str) -> HttpResponse:
    """Say what an act on an account would do, and do it."""
    require_administrator(browser_actor(request))
    wanted = ACTS.get(name)
    if wanted is None:
        raise NotFound
    subject = _person(username)
    told = queries.consequences(subject) if name == "close" else []
    return _ask_or_do(request, wanted, {"person": subject, "consequences": told})


@require_POST
def grant_role(request: HttpRequest, username: str) -> HttpResponse:
    """Give a person a role."""
    actor = browser_actor(request)
    require_administrator(actor)
    subject, form = _person(username), RoleForm(request.POST)
    problem: PortalError | None = None
    if form.is_valid():
        try:
            people_operations.grant_role(username, **form.cleaned_data, actor=actor)
        except Invalid as error:
            form.blame(error.missing)
        except (Conflict, NotAllowed) as error:
            problem = error
        else:
            messages.success(request, _("The role is given."))
            return redirect("administration:person", username)
    assert actor.user is not None
    context = {**queries.account(subject, reader=actor.user), "role_form": form, "problem": problem}
    status = problem.status if problem else Invalid.status
    return render(request, "administration/person.html", context, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
def end_role(request: HttpRequest, username: str) -> HttpResponse:
    """Ask whether a role that a person holds shall end, and end it."""
    require_administrator(browser_actor(request))
    subject = _person(username)
    role, scope = request.GET.get("role", ""), request.GET.get("scope", "").replace("\x00", "")
    if [role, scope] not in capacities(subject):
        raise NotFound
    text = _(
        "{role} ({scope}) ends now, and the delegations of it with it. Approvals given by it count no more "
        "where the rollout has not started."
    )
    wanted = Act(
        title=_("End the role"),
        text=text.format(role=role_name(role), scope=scope_name(scope)),
        done=_("The role has ended."),
        do=lambda _name, actor, reason: people_operations.revoke_role(
            username, role=role, scope=scope, actor=actor, reason=reason
        ),
    )
    return _ask_or_do(request, wanted, {"person": subject})


@never_cache
@require_http_methods(["GET", "POST"])
def revoke_token(request: HttpRequest, username: str, prefix: str) -> HttpResponse:
    """Ask whether a person's token shall end, and end it."""
    require_administrator(browser_actor(request))
    subject = _person(username)
    token = subject.access_tokens.filter(prefix=prefix).first()
    if token is None:
        raise NotFound
    wanted = Act(
        title=_("Revoke the token"),
        text=_("The token {name} works no more. Whatever uses it is refused.").format(name=token.name),
        done=_("The token no longer works."),
        do=lambda _name, actor, reason: operations.revoke_token_of(
            username, prefix, actor=actor, reason=reason
        ),
    )
    return _ask_or_do(request, wanted, {"person": subject})


def _ask_or_do(request: HttpRequest, wanted: Act, context: dict[str, Any]) -> HttpResponse:
    username = context["person"].username
    reason = request.POST.get("reason", "").replace("\x00", "").strip()[:LONGEST_REASON]
    context = {**context, "act": wanted, "reason": reason}
    if request.method != "POST":
        return render(request, "administration/act.html", context)
    try:
        wanted.do(username, browser_actor(request), reason)
    except (Conflict, Invalid, NotAllowed) as error:
        return render(request, "administration/act.html", {**context, "problem": error}, status=error.status)
    messages.success(request, str(wanted.done))
    return redirect("administration:person", username)


def _require_reader(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    if not queries.may_read(request.user):
        raise NotAllowed(_("Only administrators and auditors see how people come in."))
    return request.user


def _person(username: str) -> User:
    found = User.objects.filter(username=username).first()
    if found is None:
        raise NotFound
    return found
