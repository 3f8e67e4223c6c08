"""Addresses of incidents."""

from django.urls import path

from releases.incidents import views

app_name = "incidents"
urlpatterns = [
    path("", views.page, name="list"),
    path("part/", views.part, name="part"),
    path("open/<str:name>/<str:env>/", views.open_here, name="open"),
    path("open/<int:rollout>/", views.open_for_rollout, name="open-for"),
    path("<int:number>/", views.detail, name="detail"),
    path("<int:number>/part/", views.detail_part, name="detail-part"),
    path("<int:number>/<str:kind>/", views.act, name="act"),
]
