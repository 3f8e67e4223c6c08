"""Handing out a file of evidence: to be kept by the reader, never to be run or shown by the browser."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from releases.models import Answer
from releases.operations.evidence import charset_of


def attachment(answer: Answer) -> HttpResponse:
    """The answer's file, under the name that it was given with."""
    file = answer.file
    assert file is not None
    assert answer.evidence is not None
    content = bytes(file.content)
    charset = charset_of(content) if file.media_type == "text/plain" else ""
    kind = f"{file.media_type}; charset={charset}" if charset else file.media_type
    handed = HttpResponse(content, content_type=kind)
    name = str(answer.evidence["file"]["name"])
    handed["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or ""
    handed["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    handed["X-Content-Type-Options"] = "nosniff"
    handed["Cache-Control"] = "private, no-store"
    return handed
