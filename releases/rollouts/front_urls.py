"""Addresses of the pages everybody begins at: inbox, board, services, reports."""

from django.urls import path

from releases.rollouts.views import board, inbox, reports, services

urlpatterns = [
    path("", inbox.page, name="inbox"),
    path("inbox/part/", inbox.part, name="inbox-part"),
    path("board/", board.page, name="board"),
    path("board/part/", board.part, name="board-part"),
    path("services/<str:name>/<str:env>/", services.page, name="board-service"),
    path("services/<str:name>/<str:env>/part/", services.part, name="service-part"),
    path("services/<str:name>/<str:env>/lift-pin/", board.lift_pin, name="board-lift-pin"),
    path("reports/", reports.page, name="reports"),
    path("reports/<str:name>.csv", reports.table, name="reports-table"),
]
