"""Addresses that say what a request was answered on, for the tests of portal.serving."""

import threading

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import translation

# Lets go of those who wait at once/, as soon as there are two.
TWO = threading.Barrier(2)
# Lets go of who waits at held/.
FREE = threading.Event()
HELD = threading.Event()


@login_not_required
def database(_request: HttpRequest) -> HttpResponse:
    """Name the database's process that serves this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return HttpResponse(str(cursor.fetchone()[0]))


@login_not_required
def at_once(_request: HttpRequest) -> HttpResponse:
    """Wait until another stands here, then name the thread."""
    TWO.wait(5)
    return HttpResponse(str(threading.get_ident()))


@login_not_required
def held(_request: HttpRequest) -> HttpResponse:
    """Keep the thread busy."""
    HELD.set()
    FREE.wait(5)
    return HttpResponse()


@login_not_required
def english(_request: HttpRequest) -> HttpResponse:
    """Leave another language behind."""
    translation.activate("en")
    return HttpResponse()


@login_not_required
def language(_request: HttpRequest) -> HttpResponse:
    """Name the language."""
    return HttpResponse(translation.get_language())


urlpatterns = [
    path("database/", database),
    path("once/", at_once),
    path("held/", held),
    path("english/", english),
    path("language/", language),
]
