"""Addresses of the policy's pages, below /policy/."""

from django.urls import path

from releases.catalog.policies import views

app_name = "policy"
urlpatterns = [
    path("", views.page, name="page"),
    path("versions/<int:number>/", views.version, name="version"),
    path("propose/", views.propose, name="propose"),
    path("propose/text/", views.propose_text, name="propose_text"),
    path("propose/confirm/", views.confirm, name="confirm"),
    path("proposals/<int:number>/", views.proposal, name="proposal"),
    path("proposals/<int:number>/decide/<str:verdict>/", views.decide, name="decide"),
    path("proposals/<int:number>/take-back/<int:decision_id>/", views.take_back, name="take_back"),
    path("proposals/<int:number>/answer/<int:decision_id>/", views.answer, name="answer"),
    path("proposals/<int:number>/withdraw/", views.withdraw, name="withdraw"),
    path("coverage/", views.coverage_page, name="coverage"),
]
