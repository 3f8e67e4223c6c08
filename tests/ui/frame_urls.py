"""The addresses that the frame links to, so that its tests do not wait for the pages."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def nothing(_request: HttpRequest) -> HttpResponse:
    """Stand in for a page."""
    return HttpResponse()


LIST = [path("", nothing, name="list")]
ME = [path("", nothing, name="me")]

urlpatterns = [
    path("", nothing, name="inbox"),
    path("board/", nothing, name="board"),
    path("releases/", include((LIST, "releases"))),
    path("elsewhere/", include((LIST, "releases"), namespace="elsewhere")),
    path("audit/", include((LIST, "audit"))),
    path("settings/", include((LIST, "catalog"))),
    path("me/", include((ME, "people"))),
    path("language/", nothing, name="set_language"),
    path("sign-out/", nothing, name="account_logout"),
]
