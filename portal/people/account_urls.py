"""Addresses of signing in; the names without a namespace are those that allauth looks for."""

from allauth.account import views as account
from django.urls import include, path
from django.views.generic import RedirectView

from portal.people import passkey_views, views

FACTOR = "sign-in/second-factor/"
PASSKEYS = FACTOR + "webauthn/"
urlpatterns = [
    path("sign-in/", account.login, name="account_login"),
    path("sign-in/link/<str:token>/", views.sign_in_link, name="sign_in_link"),
    path("sign-in/inactive/", account.account_inactive, name="account_inactive"),
    path("sign-in/again/", account.reauthenticate, name="account_reauthenticate"),
    # These come before allauth's own under the same names.
    path(f"{PASSKEYS}add/", passkey_views.Add.as_view(), name="mfa_add_webauthn"),
    path(f"{PASSKEYS}login/", passkey_views.SignIn.as_view(), name="mfa_login_webauthn"),
    path(f"{PASSKEYS}reauthenticate/", passkey_views.Again.as_view(), name="mfa_reauthenticate_webauthn"),
    path(f"{PASSKEYS}keys/<int:pk>/edit/", passkey_views.Rename.as_view(), name="mfa_edit_webauthn"),
    path(f"{PASSKEYS}keys/<int:pk>/remove/", passkey_views.Remove.as_view(), name="mfa_remove_webauthn"),
    path(PASSKEYS, RedirectView.as_view(pattern_name="mfa_index"), name="mfa_list_webauthn"),
    path(FACTOR, include("allauth.mfa.urls")),
    path("sign-out/", account.logout, name="account_logout"),
    path("me/password/", account.password_change, name="account_change_password"),
    path("me/password/set/", account.password_set, name="account_set_password"),
    path("language/", views.set_language, name="set_language"),
]
