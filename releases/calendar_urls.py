"""Addresses of the calendar; every panel is a page of its own."""

from django.urls import path

from releases.views import calendar

app_name = "calendar"
urlpatterns = [
    path("", calendar.page, name="page"),
    path("line/", calendar.line, name="line"),
    path("freezes/add/", calendar.add, name="add"),
    path("freezes/stop/", calendar.stop, name="stop"),
    path("freezes/<int:pk>/", calendar.lift, name="lift"),
]
