"""Sends an export: piece by piece, whichever way the web process runs."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.translation import gettext as _

from portal.audit import export
from portal.audit.queries import Search
from portal.errors import Invalid, field_error


def answer(request: HttpRequest, form: str, search: Search) -> StreamingHttpResponse:
    """The export as a file to keep.

    Args:
        form: jsonl, csv or bundle.

    Raises:
        Invalid: there is no such form, or a bundle was asked for a part of the record.
    """
    if form not in export.FILES:
        raise _wrong(_("It is one of {forms}.").format(forms=", ".join(export.FILES)))
    if form == "bundle" and search != Search():
        raise _wrong(_("A bundle holds the whole record. Leave the search out, or take jsonl or csv."))
    pieces = export.written(form, search)
    name = export.FILES[form]
    return StreamingHttpResponse(
        _one_by_one(pieces) if isinstance(request, ASGIRequest) else pieces,
        content_type=export.MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _one_by_one(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What Django would else gather whole before it sends the first piece."""

    def following() -> bytes:
        return next(pieces, b"")

    while piece := await sync_to_async(following)():
        yield piece


def _wrong(text: str) -> Invalid:
    return Invalid(text, missing=[field_error("format", text)])
