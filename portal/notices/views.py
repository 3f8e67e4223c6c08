"""The page on which a person says how they want to be told."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from portal.errors import Invalid
from portal.notices.forms import NoticesForm
from portal.notices.operations import change_preferences
from portal.notices.queries import told_to
from portal.notices.telling import preferences_of, zone_of
from portal.people.doors import browser_actor
from portal.people.models import User


@never_cache
@require_http_methods(["GET", "POST"])
def mine(request: HttpRequest) -> HttpResponse:
    """Show how the person is told; store what they choose."""
    assert isinstance(request.user, User)
    if request.method != "POST":
        return _page(request, NoticesForm.of(preferences_of([request.user])[request.user.pk]))
    form = NoticesForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    try:
        change_preferences(actor=browser_actor(request), **form.choices_made())
    except Invalid as error:
        for fault in error.missing:
            form.add_error(fault["field"], str(fault["text"]))
        return _page(request, form, status=422)
    messages.success(request, _("Your settings are stored."))
    return redirect("notices:mine")


def _page(request: HttpRequest, form: NoticesForm, *, status: int = 200) -> HttpResponse:
    assert isinstance(request.user, User)
    context = {"form": form, "zone": zone_of(request.user).key, "told": told_to(request.user)}
    return render(request, "people/notices.html", context, status=status)
