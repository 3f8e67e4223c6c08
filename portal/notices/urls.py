"""The address of a person's notices."""

from django.urls import path

from portal.notices import views

app_name = "notices"
urlpatterns = [path("me/notices/", views.mine, name="mine")]
