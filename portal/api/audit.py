"""The record over the API: the same entries that the audit page shows."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from ninja import Field, Query, Router, Schema
from pydantic import ConfigDict

from portal.api import paging
from portal.api.auth import scope
from portal.api.paging import PageQuery
from portal.api.schemas import Moment, Paged
from portal.audit import download, queries
from portal.audit.models import AuditEntry
from portal.audit.readers import require_reader

router = Router(tags=["record"])


class Filters(Schema):
    """What to look for; `subject` is a key, or kind and key as "release:145"."""

    model_config = ConfigDict(populate_by_name=True)

    person: str = Field("", max_length=150)
    service: str = Field("", max_length=120)
    release: int | None = Field(None, ge=1, le=2**62)
    action: str = Field("", max_length=60)
    subject: str = Field("", max_length=200)
    start: Moment | None = Field(None, alias="from")
    end: Moment | None = Field(None, alias="to")

    def search(self) -> queries.Search:
        """The search that the parameters ask for."""
        names = ("person", "service", "release", "action", "subject", "start", "end")
        return queries.Search(**{name: getattr(self, name) for name in names})


class EntryQuery(PageQuery, Filters):
    """Filters and page."""


class ExportQuery(Filters):
    """Filters and form: jsonl, csv, or bundle (a zip of the whole record with checkpoints and verifier)."""

    format: str = Field("jsonl", max_length=10)


class SubjectShape(Schema):
    """What was acted on."""

    kind: str
    key: str


class EntryShape(Schema):
    """One entry; `entry` is the object whose RFC 8785 form was hashed with `number` and `previous`."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: SubjectShape
    release: int | None
    service: str
    entry: dict[str, Any]
    previous: str
    digest: str


@router.get("/audit", response=Paged[EntryShape])
def list_entries(request: HttpRequest, query: Query[EntryQuery]) -> dict[str, Any]:
    """List entries, newest first."""
    scope(request, "read")
    require_reader(request.user)
    part = paging.page(queries.entries(query.search()), query=query, key="number")
    return paging.answer(part, _shape)


@router.get("/audit/export")
def export_entries(request: HttpRequest, query: Query[ExportQuery]) -> HttpResponseBase:
    """Stream entries in the order of the chain."""
    scope(request, "read")
    require_reader(request.user)
    return download.answer(request, query.format, query.search())


def _shape(entry: AuditEntry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "subject": {"kind": entry.subject_kind, "key": entry.subject},
        "release": entry.release,
        "service": entry.service,
        "entry": queries.whole_body(entry),
        "previous": entry.previous,
        "digest": entry.digest,
    }
