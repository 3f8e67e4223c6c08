"""Addresses of the record."""

from django.urls import path

from portal.audit import views

app_name = "audit"
urlpatterns = [
    path("audit/", views.entry_list, name="list"),
    path("audit/export/", views.download, name="export"),
    path("audit/verify/", views.verify, name="verify"),
    path("audit/chain/", views.chain, name="chain"),
    path("audit/sign/", views.sign, name="sign"),
    path("audit/<int:number>/", views.entry_detail, name="detail"),
]
