"""Addresses of rollouts, and of the start of a release."""

from django.urls import path

from releases.rollouts.views import logs, orders, proof, queue, rollout, starting

app_name = "rollouts"
urlpatterns = [
    path("releases/<int:number>/start/", starting.start, name="start"),
    path("releases/<int:number>/plan/", starting.plan, name="plan"),
    path("releases/<int:number>/proof/", proof.page, name="proof"),
    path("releases/<int:number>/proof/file/", proof.file, name="proof_file"),
    path("queue/", queue.page, name="queue"),
    path("queue/part/", queue.part, name="queue-part"),
    path("queue/<int:pk>/leave/", queue.leave, name="leave"),
    path("rollouts/<int:pk>/", rollout.detail, name="detail"),
    path("rollouts/<int:pk>/part/", rollout.part, name="part"),
    path("rollouts/<int:pk>/signoff/", rollout.signoff, name="signoff"),
    path("rollouts/<int:pk>/log/<str:name>/", logs.of_rollout, name="log"),
    path("rollouts/<int:pk>/steps/<int:step>/retry/", orders.retry, name="retry"),
    path("rollouts/<int:pk>/steps/<int:step>/skip/", orders.skip, name="skip"),
    path("rollouts/<int:pk>/<str:kind>/", orders.order, name="order"),
]
