"""Do the rows say what the record says? Whoever edits a decision past the portal changes only the rows.

Asked before a start and before each wave (attacks.md, 1a): what is not in the record does not count.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from approvals.models import Decision, Request
from approvals.states import RequestState, Verdict
from portal.audit import queries as record
from portal.audit.queries import Act
from portal.errors import Missing

KINDS = ("release", "request", "decision")
Acts = Mapping[tuple[str, str], list[Act]]


def unbacked(
    request: Request,
    *,
    filed_under: int,
    state: str,
    first_state: str,
    approvals: Sequence[Decision] | None = None,
) -> list[Missing]:
    """Find where the rows of a request, and the state of what it asks for, differ from the record.

    Args:
        approvals: those of the request that were just read to be counted; read here by default.
        filed_under: the number under which the release stands in the record.
        state: the release's state as its row has it.
        first_state: in which a release begins.

    Returns:
        {"why": a code, and what its sentence names}, for words in any language.
    """
    # The rows first: what was written before them stands in the record by the time that it is read.
    approvals = list(_approvals(request)) if approvals is None else approvals
    acts = record.acts_of_release(filed_under, KINDS)
    found = [*_of_request(request, acts), *_of_approvals(approvals, acts), *_of_objections(request, acts)]
    if state != _state(acts.get(("release", str(filed_under)), []), first_state):
        found.append({"why": "release_state_unrecorded"})
    return found


def _approvals(request: Request) -> QuerySet[Decision]:
    counted = request.decisions.filter(revoked_at=None, verdict=Verdict.APPROVE)
    return counted.select_related("person", "on_behalf_of").order_by("pk")


def _state(acts: list[Act], first: str) -> str:
    return next((str(act.after["state"]) for act in reversed(acts) if "state" in act.after), first)


def _of_request(request: Request, acts: Acts) -> Iterator[Missing]:
    opened = next(iter(acts.get(("request", str(request)), [])), None)
    if opened is None or not _asks_for_this(request, opened):
        yield {"why": "rows_unrecorded"}
    elif request.state != _state(acts.get(("request", str(request.pk)), []), RequestState.OPEN):
        yield {"why": "approval_state_unrecorded"}


def _asks_for_this(request: Request, opened: Act) -> bool:
    # Sorted here, as they may be read already.
    rows = sorted(request.requirements.all(), key=lambda row: row.pk)
    present = {
        "grade": request.grade,
        "policy": request.policy.version,
        "requirements": [str(row) for row in rows],
        "accepted": [row.accepted for row in rows],
        "barred": sorted(person.username for person in request.barred.all()),
    }
    # Requests of an earlier version of the portal do not have all of it in their entry.
    return opened.content_digest == request.content_digest and all(
        present[name] == said for name, said in opened.after.items() if name in present
    )


def _of_approvals(approvals: Iterable[Decision], acts: Acts) -> Iterator[Missing]:
    for each in approvals:
        said = acts.get(("decision", str(each.pk)), [])
        if len(said) != 1 or not _says(said[0], each):
            yield {"why": "decision_unrecorded", "name": str(each.person)}


def _says(act: Act, decision: Decision) -> bool:
    giver = decision.on_behalf_of
    said: dict[str, Any] = {
        "verdict": decision.verdict,
        "phase": decision.phase,
        "person": decision.person.username,
        "capacities": decision.capacities,
    }
    return (
        act.action == f"decision.{decision.verdict}"
        and act.content_digest == decision.content_digest
        and (act.actor, act.on_behalf_of) == (decision.person.username, giver.username if giver else "")
        and all(act.after.get(name) == value for name, value in said.items())
    )


def _of_objections(request: Request, acts: Acts) -> Iterator[Missing]:
    """An objection that the record leaves open must be open here."""
    raised = {
        int(key) for (kind, key), said in acts.items() if kind == "decision" and _is_open_objection(said)
    }
    if not raised:
        return
    subject = Decision.objects.filter(request__subject=request.subject, verdict=Verdict.OBJECT)
    missing = raised - set(subject.filter(revoked_at=None, answered_at=None).values_list("pk", flat=True))
    if missing:
        yield {"why": "objection_gone"}


def _is_open_objection(acts: list[Act]) -> bool:
    return bool(acts) and acts[-1].action == f"decision.{Verdict.OBJECT}"
