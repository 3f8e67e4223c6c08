"""Addresses of the calendar; every panel is a page of its own."""

from django.urls import path

from releases.views import calendar, windows

app_name = "calendar"
urlpatterns = [
    path("", calendar.page, name="page"),
    path("line/", calendar.line, name="line"),
    path("freezes/add/", calendar.add, name="add"),
    path("freezes/stop/", calendar.stop, name="stop"),
    path("freezes/<int:pk>/", calendar.lift, name="lift"),
    path("freezes/<int:pk>/change/", calendar.change, name="change"),
    path("windows/<str:name>/add/", windows.add, name="add-window"),
    path("windows/<int:pk>/", windows.change, name="window"),
    path("windows/<int:pk>/end/", windows.end, name="end-window"),
]
