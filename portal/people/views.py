"""A person's own page, their tokens, and the demo's sign-in links."""

from datetime import timedelta
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from django.views.i18n import set_language as choose_for_browser

from portal import clock
from portal.people import operations, queries, tokens
from portal.people.doors import browser_actor
from portal.people.forms import SCOPE_NAMES, PreferencesForm, TokenForm
from portal.people.links import person_of_link
from portal.people.models import User


@never_cache
@require_http_methods(["GET", "POST"])
def me(request: HttpRequest) -> HttpResponse:
    """Show a person's settings; store the preferences."""
    if request.method != "POST":
        return _page(request)
    form = PreferencesForm(request.POST, instance=User.objects.get(pk=_person(request).pk))
    if not form.is_valid():
        return _page(request, preferences=form, status=422)
    actor = browser_actor(request)
    operations.change_person(actor.name, actor=actor, **form.cleaned_data)
    messages.success(request, _("Your settings are stored."))
    return redirect("people:me")


@require_POST
def make_token(request: HttpRequest) -> HttpResponse:
    """Make a token and show its secret this once."""
    form = _token_form(request)
    if not form.is_valid():
        return _page(request, token_form=form, status=422)
    wanted = form.cleaned_data
    ends_at = clock.now() + timedelta(days=int(wanted["days"]))
    _token, secret = tokens.create_token(
        actor=browser_actor(request), name=wanted["name"], scopes=wanted["scopes"], expires_at=ends_at
    )
    return _page(request, secret=secret)


@require_POST
def revoke_token(request: HttpRequest, prefix: str) -> HttpResponse:
    """End one of one's own tokens."""
    tokens.revoke_token(prefix, actor=browser_actor(request))
    messages.success(request, _("The token no longer works."))
    return redirect("people:me")


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """Ask whether to sign in as a demo person, and do it only when the button is pressed."""
    person = person_of_link(token)
    if request.method != "POST":
        return render(request, "account/sign_in_link.html", {"person": person})
    get_adapter(request).login(request, person)
    return redirect(_next(request))


@login_not_required
@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Choose the language of this browser, and of the person who is signed in."""
    chosen = request.POST.get("language", "")
    if isinstance(request.user, User) and chosen in dict(settings.LANGUAGES):
        operations.change_person(request.user.username, actor=browser_actor(request), language=chosen)
    return choose_for_browser(request)


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    hosts = {request.get_host()}
    if wanted and url_has_allowed_host_and_scheme(wanted, hosts, require_https=request.is_secure()):
        return wanted
    return settings.LOGIN_REDIRECT_URL


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _token_form(request: HttpRequest) -> TokenForm:
    reach = tokens.scopes_of(_person(request))
    possible = [scope for scope in tokens.SCOPES if scope in reach]
    return TokenForm(request.POST if request.method == "POST" else None, possible=possible)


def _page(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    person = _person(request)
    reach = tokens.scopes_of(person)
    context = {
        "preferences": PreferencesForm(instance=person),
        "token_form": TokenForm(possible=[scope for scope in tokens.SCOPES if scope in reach]),
        "tokens": [
            {"row": token, "may": [SCOPE_NAMES[scope] for scope in token.scopes if scope in reach]}
            for token in person.access_tokens.filter(revoked_at=None)
        ],
        "roles": queries.roles_of(person),
        **more,
    }
    return render(request, "people/me.html", context, status=status)
