"""Addresses of a person's own page."""

from django.urls import path

from portal.people import views

app_name = "people"
urlpatterns = [
    path("me/", views.me, name="me"),
    path("me/tokens/", views.make_token, name="make_token"),
    path("me/tokens/<slug:prefix>/revoke/", views.revoke_token, name="revoke_token"),
]
