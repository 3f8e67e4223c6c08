"""Addresses of schedules and backups."""

from django.urls import path

from releases.schedules import views

app_name = "schedules"
urlpatterns = [
    path("environments/<str:name>/schedules/", views.page, name="page"),
    path("environments/<str:name>/backups/<int:pk>/restore/", views.restore, name="restore"),
]
