"""Addresses of the pipeline's page."""

from django.urls import path

from releases.pipeline import views

app_name = "pipeline"
urlpatterns = [path("", views.arrivals, name="list")]
