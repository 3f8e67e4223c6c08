"""Addresses of the pages of people."""

from django.urls import path

from portal.administration import views

app_name = "administration"
urlpatterns = [
    path("settings/people/", views.people, name="people"),
    path("settings/people/<str:username>/", views.person, name="person"),
    path(
        "settings/people/<str:username>/tokens/<slug:prefix>/revoke/", views.revoke_token, name="revoke_token"
    ),
    path("settings/people/<str:username>/roles/", views.grant_role, name="grant_role"),
    path("settings/people/<str:username>/roles/end/", views.end_role, name="end_role"),
    path("settings/people/<str:username>/<slug:name>/", views.act, name="act"),
]
