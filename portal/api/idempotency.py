"""A write sent twice under one `Idempotency-Key` happens once and is answered twice.

The answer is stored in the transaction of the act, so that a lost connection or a killed process leaves
either both or neither.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.api.models import IdempotencyKey
from portal.errors import Conflict, Invalid, field_error

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT = timedelta(days=2)
LOCKS = 7301  # first key of our advisory locks


class SameKeyInProgress(Conflict):
    """The first request under this key has not been answered yet."""

    code = "idempotency_in_progress"
    title = _("The same request is being answered")
    retry_in = 1.0


class KeyOfAnother(Conflict):
    """The key was used for a different request."""

    code = "idempotency_key_reused"
    title = _("This key belongs to another request")


def once(request: HttpRequest, get_response: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """Answer a write; the second time under the same key with the first answer.

    Raises:
        Invalid: the key is empty, too long or not printable.
        SameKeyInProgress, KeyOfAnother: see there.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return get_response(request)
    if not 0 < len(key) <= 200 or not key.isprintable():
        text = _("Use 1 to 200 printable characters.")
        raise Invalid(text, missing=[field_error(HEADER, text)])
    with transaction.atomic():
        _lock(request, key)
        return _replay(request, key) or _act(request, key, get_response)


def _lock(request: HttpRequest, key: str) -> None:
    name = hashlib.sha256(f"{_owner(request)}:{key}".encode()).digest()
    with connection.cursor() as cursor:
        number = int.from_bytes(name[:4], "big", signed=True)
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCKS, number])
        (locked,) = cursor.fetchone()
    if not locked:
        raise SameKeyInProgress(_("Wait a moment and send it again."))


def _replay(request: HttpRequest, key: str) -> HttpResponse | None:
    kept = IdempotencyKey.objects.filter(user_id=_owner(request), key=key).first()
    if kept is None or kept.status is None:
        return None
    if kept.request_digest != _digest(request):
        raise KeyOfAnother(_("Use a new key for a new request."))
    answer = HttpResponse(kept.body, status=kept.status, content_type="application/json; charset=utf-8")
    answer[REPLAYED] = "true"
    return answer


def _act(request: HttpRequest, key: str, get_response: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """Only what was done is kept: a refusal may be followed by a second try under the same key."""
    answer = get_response(request)
    if answer.status_code >= 500:
        transaction.set_rollback(True)  # a fault of ours leaves nothing half-written
    if answer.status_code < 300:
        IdempotencyKey.objects.create(
            user_id=_owner(request),
            key=key,
            request_digest=_digest(request),
            status=answer.status_code,
            body=answer.content.decode(),
            created_at=clock.now(),
        )
    return answer


def _owner(request: HttpRequest) -> int:
    assert request.user.pk is not None
    return request.user.pk


def _digest(request: HttpRequest) -> str:
    head = f"{request.method} {request.get_full_path()}\n".encode()
    return hashlib.sha256(head + request.body).hexdigest()


def forget_old() -> None:
    """Delete answers nobody will ask for again."""
    IdempotencyKey.objects.filter(created_at__lt=clock.now() - KEPT).delete()
