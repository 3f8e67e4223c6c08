"""Joins the apps' addresses; nothing is decided here."""

from django.urls import include, path

urlpatterns = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("accounts/", include("allauth.urls")),
]

handler404 = "portal.errors_view.not_found"
handler500 = "portal.errors_view.server_error"
