"""Addresses of signing in; the names without a namespace are those that allauth looks for."""

from allauth.account import views as account
from django.urls import include, path

from portal.people import views

urlpatterns = [
    path("sign-in/", account.login, name="account_login"),
    path("sign-in/link/<str:token>/", views.sign_in_link, name="sign_in_link"),
    path("sign-in/inactive/", account.account_inactive, name="account_inactive"),
    path("sign-in/again/", account.reauthenticate, name="account_reauthenticate"),
    path("sign-in/second-factor/", include("allauth.mfa.urls")),
    path("sign-out/", account.logout, name="account_logout"),
    path("me/password/", account.password_change, name="account_change_password"),
    path("me/password/set/", account.password_set, name="account_set_password"),
    path("language/", views.set_language, name="set_language"),
]
