"""Checkpoints as text: what is signed, what leaves the portal, and what a copy outside still knows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rfc8785
from django.conf import settings

from portal.audit import queries
from portal.audit.models import Checkpoint
from portal.audit.verifier import Tree, checkpoints_in


def as_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint as the verifier takes it; all but the signature is what was signed."""
    return {
        "at": checkpoint.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "first": checkpoint.first,
        "head": checkpoint.head,
        "key": checkpoint.key,
        "number": checkpoint.number,
        "root": checkpoint.root,
        "signature": checkpoint.signature,
    }


def line(checkpoint: Checkpoint) -> str:
    """A checkpoint in one line, as it leaves in mails, in the log and in exports."""
    return rfc8785.dumps(as_json(checkpoint)).decode()


def logged() -> list[dict[str, Any]]:
    """The checkpoints that the log beside the database knows; none where no log is kept."""
    path = Path(settings.AUDIT_CHECKPOINT_LOG)
    if not settings.AUDIT_CHECKPOINT_LOG or not path.exists():
        return []
    return list(checkpoints_in(path.read_text(encoding="utf-8").splitlines()))


def lived_until() -> datetime | None:
    """Return until when the portal had lived, at least, before an older copy of its database was put back.

    None where none was: the log beside the database knows no checkpoint that the database does not
    (attacks.md, section 4: F23).
    """
    known = set(Checkpoint.objects.values_list("number", "root"))
    foreign = [each["at"] for each in logged() if (each["number"], each.get("root", "")) not in known]
    return max(map(datetime.fromisoformat, foreign), default=None)


def covering(numbers: list[int]) -> dict[int, Checkpoint]:
    """For each entry the checkpoint that covers it; those not signed yet are left out."""
    if not numbers:
        return {}
    found = list(
        Checkpoint.objects.filter(number__gte=min(numbers), first__lte=max(numbers)).order_by("number")
    )
    return {number: each for number in numbers for each in found if each.first <= number <= each.number}


def paths(checkpoint: Checkpoint, numbers: list[int]) -> dict[int, list[list[str]]]:
    """What leads from each of these entries to the root of the checkpoint that covers them."""
    tree = Tree(queries.digests(checkpoint.first, checkpoint.number))
    return {number: tree.path(number - checkpoint.first) for number in numbers}
