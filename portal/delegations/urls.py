"""Addresses of delegations."""

from django.urls import path

from portal.delegations import views

app_name = "delegations"
urlpatterns = [
    path("me/delegations/", views.mine, name="mine"),
    path("me/delegations/<int:pk>/end/", views.end, name="end"),
    path("settings/delegations/", views.everybody, name="everybody"),
]
