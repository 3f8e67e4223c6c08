"""Reading the record: what happened, who did it, and where the chain stands."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from portal.audit.models import AuditEntry, ChainCheck, Checkpoint, Verification
from portal.audit.verifier import REMOVED_ACTION, digest_of
from portal.holding import write_out
from portal.statements import Given, Question

WHOLE: Final[dict[str, Any]] = {
    "action": "",
    "actor": dict.fromkeys(("address", "cause", "door", "name", "on_behalf_of", "token"), ""),
    "after": {},
    "at": "",
    "before": {},
    "content_digest": "",
    "reason": "",
    "release": None,
    "service": "",
    "subject": {"key": "", "kind": ""},
}


# The stream of what is done to the record as a whole.
TOPIC = "record"

_ACTS = Question(
    lambda: (
        AuditEntry.objects.only("number", "body", "previous", "digest")
        .filter(release=Given("release"), subject_kind__among=Given("kinds"))
        .order_by("pk")
    )
)


@dataclass(frozen=True, kw_only=True)
class Act:
    """What an entry says of an act, for those who compare rows with it."""

    action: str
    actor: str
    on_behalf_of: str
    content_digest: str
    after: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Search:
    """What to look for; everything left out matches.

    Attributes:
        subject: a key such as "145", or kind and key as "release:145".
        start: entries at or after this moment.
        end: entries before this moment.
    """

    person: str = ""
    service: str = ""
    release: int | None = None
    action: str = ""
    subject: str = ""
    start: datetime | None = None
    end: datetime | None = None


def entries(search: Search | None = None) -> QuerySet[AuditEntry]:
    """Entries of the chain that match, newest first."""
    search = search or Search()
    found = AuditEntry.objects.filter(number__isnull=False).order_by("-number")
    exact = {
        "actor": search.person,
        "service": search.service,
        "release": search.release,
        "action": search.action,
        "at__gte": search.start,
        "at__lt": search.end,
        **_subject(search.subject),
    }
    return found.filter(**{field: value for field, value in exact.items() if value not in {None, ""}})


def entries_of_release(number: int) -> QuerySet[AuditEntry]:
    """Everything recorded about one release, newest first."""
    return entries(Search(release=number))


def acts_of_release(number: int, kinds: Collection[str]) -> dict[tuple[str, str], list[Act]]:
    """What was done to these kinds of things of a release, by kind and key, the oldest first.

    Of the present transaction's own entries, too, which have no number yet. An entry that does not agree with
    its own digest says nothing.
    """
    found: dict[tuple[str, str], list[Act]] = {}
    write_out()
    for entry in _ACTS.ask(release=number, kinds=list(kinds)):
        if entry.digest is None or entry.digest == sealed(entry):
            body = body_of(entry)
            key = (str(body["subject"]["kind"]), str(body["subject"]["key"]))
            found.setdefault(key, []).append(_act(body))
    return found


def _act(body: dict[str, Any]) -> Act:
    return Act(
        action=body["action"],
        actor=body["actor"]["name"],
        on_behalf_of=body["actor"]["on_behalf_of"],
        content_digest=body["content_digest"],
        after=body["after"],
    )


def sealed(entry: AuditEntry) -> str:
    """The digest that an entry's text, number and predecessor give."""
    return digest_of(entry.body, number=entry.number or 0, previous=entry.previous or "")


def body_of(entry: AuditEntry) -> dict[str, Any]:
    """What an entry's text says; whoever wrote past the portal must not blind those who look for it."""
    return read_body(entry.body)


def read_body(text: str) -> dict[str, Any]:
    """What the text of an entry says."""
    read = _read(text)
    return {name: _like(read.get(name), example) for name, example in WHOLE.items()}


def whole_body(entry: AuditEntry) -> dict[str, Any]:
    """An entry's text as it is; what is no object is put into one."""
    return _read(entry.body)


def _read(text: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError:
        read = text
    return read if isinstance(read, dict) else {"unreadable": read}


def head() -> AuditEntry | None:
    """The newest entry of the chain."""
    return entries().first()


def count_to_verify() -> int:
    """How many entries a verification begun now will find, as far as can be told cheaply."""
    newest = head()
    first = entries().order_by("number").values_list("number", flat=True).first()
    return (newest.number or 0) - (first or 0) + 1 if newest else 0


def running() -> Verification | None:
    """The verification under way."""
    return Verification.objects.filter(running=True).first()


def last_verification() -> Verification | None:
    """The newest verification by the workers, under way or over."""
    return Verification.objects.first()


def last_removal() -> AuditEntry | None:
    """The entry that says up to where the beginning of the record was removed."""
    return entries(Search(action=REMOVED_ACTION)).first()


def last_check() -> ChainCheck | None:
    """When the chain was last verified, and with what result."""
    return ChainCheck.objects.order_by("-at").first()


def checkpoints() -> QuerySet[Checkpoint]:
    """The checkpoints, newest first."""
    return Checkpoint.objects.order_by("-number")


def last_checkpoint() -> Checkpoint | None:
    """The newest checkpoint."""
    return checkpoints().first()


def unsigned() -> int:
    """How many entries no checkpoint covers yet."""
    newest, last = head(), last_checkpoint()
    number = newest.number if newest and newest.number else 0
    return max(number - (last.number if last else 0), 0)


def digests(first: int, last: int) -> list[str]:
    """The digests of these entries in their order."""
    found = AuditEntry.objects.filter(number__gte=first, number__lte=last).order_by("number")
    return [str(digest) for digest in found.values_list("digest", flat=True)]


def _like(value: Any, example: Any) -> Any:
    if isinstance(example, dict):
        read = value if isinstance(value, dict) else {}
        return {**example, **read}
    return example if value is None else value


def _subject(text: str) -> dict[str, str]:
    kind, colon, key = text.partition(":")
    return {"subject_kind": kind, "subject": key} if colon else {"subject": text}
