"""The entries of one release with what leads from each to a signed checkpoint."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from portal.audit import checkpoints
from portal.audit.export import public_keys
from portal.audit.models import AuditEntry, Checkpoint
from portal.audit.queries import body_of, last_removal, whole_body
from releases.models import Release

Json = dict[str, Any]


class Entries:
    """What is recorded about a release, in the order of the chain, and what stands where in it."""

    def __init__(self, release: Release) -> None:
        found: QuerySet[AuditEntry] = AuditEntry.objects.filter(release=release.number, number__isnull=False)
        self.rows = list(found.order_by("number"))
        self.bodies = {row.number: body_of(row) for row in self.rows}
        self._of_subject: dict[tuple[str, str], list[AuditEntry]] = {}
        for row in self.rows:
            self._of_subject.setdefault((row.subject_kind, row.subject), []).append(row)
        self.covering = checkpoints.covering([row.number or 0 for row in self.rows])

    def find(self, kind: str, key: object, **after: Any) -> int | None:
        """The number of the newest entry about this subject whose `after` says this; None where none does.

        Args:
            after: a name with the value ... is there, whatever it says.
        """
        for row in reversed(self._of_subject.get((kind, str(key)), [])):
            said = self.bodies[row.number]["after"]
            if all(name in said and (value is ... or said[name] == value) for name, value in after.items()):
                return row.number
        return None

    def of_subject(self, kind: str, key: object, action: str) -> int | None:
        """The number of the newest entry of this act on this subject."""
        rows = reversed(self._of_subject.get((kind, str(key)), []))
        return next((row.number for row in rows if row.action == action), None)

    def of_action(self, action: str) -> AuditEntry | None:
        """The newest entry of an act."""
        return next((row for row in reversed(self.rows) if row.action == action), None)

    def of_submission(self) -> AuditEntry | None:
        """The newest entry by which a draft was submitted."""
        for row in reversed(self.rows):
            if row.subject_kind == "release" and self.bodies[row.number]["before"].get("state") == "draft":
                return row
        return None

    def removed_up_to(self) -> int | None:
        """The last entry that was removed by rule, where some of this release's went with it."""
        removal = last_removal()
        if removal is None or self.of_action("release.created") is not None:
            return None
        return int(body_of(removal)["after"]["last"])

    def unsigned(self) -> int:
        """How many of them no checkpoint covers yet."""
        return sum(1 for row in self.rows if row.number not in self.covering)

    def as_json(self, *, whole: bool) -> Json:
        """The entries, the checkpoints that cover them, and the keys that signed these.

        Args:
            whole: with each entry's text and its way to the checkpoint, so that it can be verified.
        """
        used = {each.pk: each for each in self.covering.values()}
        keys = public_keys()
        ways = self._ways(used.values()) if whole else {}
        return {
            "entries": [self._entry(row, ways, whole=whole) for row in self.rows],
            "checkpoints": [checkpoints.as_json(each) for each in used.values()],
            "keys": sorted({keys[each.key] for each in used.values() if each.key in keys}),
        }

    def _ways(self, used: Iterable[Checkpoint]) -> dict[int, list[list[str]]]:
        found: dict[int, list[list[str]]] = {}
        for each in used:
            numbers = [number for number, by in self.covering.items() if by.pk == each.pk]
            found |= checkpoints.paths(each, numbers)
        return found

    def _entry(self, row: AuditEntry, ways: dict[int, list[list[str]]], *, whole: bool) -> Json:
        number = row.number or 0
        by = self.covering.get(number)
        return {
            "number": number,
            "at": row.at,
            "action": row.action,
            "actor": row.actor,
            "previous": row.previous,
            "digest": row.digest,
            "checkpoint": by.number if by else None,
            "path": ways.get(number, []),
            "entry": whole_body(row) if whole else None,
        }
