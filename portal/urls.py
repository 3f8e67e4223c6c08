"""Joins the apps' addresses; nothing is decided here."""

from django.urls import include, path

urlpatterns = [
    path("", include("portal.people.account_urls")),
    path("", include("portal.people.urls")),
]

handler404 = "portal.errors_view.not_found"
handler500 = "portal.errors_view.server_error"
