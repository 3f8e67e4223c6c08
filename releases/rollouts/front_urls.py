"""Addresses of the pages everybody begins at: inbox, board, services, reports."""

from django.urls import path

from releases.rollouts.views import board, findings, inbox, logs, reports, services, systems

urlpatterns = [
    path("", inbox.page, name="inbox"),
    path("inbox/part/", inbox.part, name="inbox-part"),
    path("board/", board.page, name="board"),
    path("board/part/", board.part, name="board-part"),
    path("services/<str:name>/<str:env>/", services.page, name="board-service"),
    path("services/<str:name>/<str:env>/part/", services.part, name="service-part"),
    path("services/<str:name>/<str:env>/pods/<str:pod>/log/", logs.of_pod, name="service-log"),
    path("services/<str:name>/<str:env>/pods/<str:pod>/log/part/", logs.of_pod_part, name="service-log-part"),
    path("services/<str:name>/<str:env>/operate/<str:kind>/", services.operate, name="service-operate"),
    path("services/<str:name>/<str:env>/lift-pin/", board.lift_pin, name="board-lift-pin"),
    path("systems/", systems.first, name="systems"),
    path("systems/<str:name>/row/", systems.page, name="system-row"),
    path("systems/<str:name>/row/part/", systems.part, name="system-row-part"),
    path("findings/", findings.page, name="findings"),
    path("findings/part/", findings.part, name="findings-part"),
    path("findings/<int:pk>/", findings.detail, name="finding"),
    path("findings/<int:pk>/part/", findings.detail_part, name="finding-part"),
    path("findings/<int:pk>/<str:kind>/", findings.act, name="finding-act"),
    path("reports/", reports.page, name="reports"),
    path("reports/<str:name>.csv", reports.table, name="reports-table"),
]
