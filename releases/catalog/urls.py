"""Addresses of the catalog's pages, below /catalog/."""

from django.urls import path

from releases.catalog import views

app_name = "catalog"
urlpatterns = [
    path("", views.catalog_list, name="list"),
    path("services/<str:name>/", views.service_page, name="service"),
    path("environments/<str:name>/", views.environment_page, name="environment"),
    path("plans/<str:name>/", views.plan_page, name="plan"),
    path("checklists/<str:name>/", views.checklist_page, name="checklist"),
    path("policies/<str:name>/", views.policy_page, name="policy"),
    path("schema/<str:name>.json", views.schema_file, name="schema"),
]
