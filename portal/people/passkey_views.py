"""allauth's pages of passkeys where ours differ: in what they show, and that a refusal stays on its page."""

from typing import Any

from allauth.account.utils import passthrough_next_redirect_url
from allauth.core.internal.httpkit import authenticated_user
from allauth.mfa.webauthn import views
from allauth.mfa.webauthn.internal import auth
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME as NEXT
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse, reverse_lazy

from portal.people.passkeys import is_last_factor


class Add(views.AddWebAuthnView):
    """Make a passkey that signs in by itself, wherever the device can (a "discoverable" one)."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep it, its entry in the record and the first recovery codes together, or nothing."""
        with transaction.atomic():
            return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().get_context_data(**kwargs)
        options = auth.begin_registration(authenticated_user(self.request), passwordless=True)
        return {**found, "options": options}


class Remove(views.RemoveWebAuthnView):
    """Ask before a passkey goes, the more so when it is the last second factor."""

    success_url = reverse_lazy("mfa_index")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[no-untyped-call]
        return {**found, "key": self.object.wrap(), "is_last": is_last_factor(self.object)}


class Rename(views.EditWebAuthnView):
    """Give a passkey another name."""

    success_url = reverse_lazy("mfa_index")


class Again(views.ReauthenticateWebAuthnView):
    """Show the passkey once more and go back to what asked for it."""

    def form_invalid(self, form: Any) -> HttpResponse:
        """Stay here: allauth would lead to the sign-in page, and the way back would be lost."""
        return self.render_to_response(self.get_context_data(form=form))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().get_context_data(**kwargs)
        return {**found, **kwargs, "options": found["js_data"]["request_options"]}


class SignIn(views.LoginWebAuthnView):
    """Sign in by passkey; the sign-in page asks here for the challenge and sends the answer."""

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the sign-in page with the reason; where one wanted to go stays known."""
        for text in form.errors.get("credential", []):
            messages.error(self.request, text)
        return redirect(passthrough_next_redirect_url(self.request, reverse("account_login"), NEXT))
