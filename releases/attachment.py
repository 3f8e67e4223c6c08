"""Handing out a file of evidence: to be kept by the reader, never to be run or shown by the browser."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from releases.models import Answer


def attachment(answer: Answer) -> HttpResponse:
    """The answer's file, under the name that it was given with."""
    file = answer.file
    assert file is not None
    assert answer.evidence is not None
    handed = HttpResponse(bytes(file.content), content_type=file.media_type)
    name = str(answer.evidence["file"]["name"])
    handed["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or ""
    handed["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    handed["X-Content-Type-Options"] = "nosniff"
    handed["Cache-Control"] = "private, no-store"
    return handed
