"""Orders that reach into the cluster: an update under way goes on by itself where nobody holds it.

Canaries of Argo Rollouts are held, let go or aborted; the rolling update of a Deployment is held and let go
(protocols.md, A3: while it is paused its controller takes no next step). StatefulSets and DaemonSets have no
such switch, and the order says so. A stop leaves a Deployment held: what is out stays, and the rest does not
come; its next template, of a way back or of the next release, lets it go.

The order's row is the intent: to which workloads it goes is written with what it changes in the portal. The
writes are made outside any transaction and found again by what they left there; the order is reported once
their controller has taken them up. What cannot be reached never keeps the portal from stopping.

Requests: protocols.md, A3 (pause, resume) and "Argo Rollouts (CRD)" (pause, abort).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from portal import clock
from portal.errors import PermanentError, TemporaryError
from portal.integrations.argo.rollouts import DEGRADED, PAUSED, canary_of, is_current
from portal.integrations.kubernetes.client import Cluster, connect
from portal.integrations.kubernetes.errors import CONFLICT, MISSING
from portal.integrations.kubernetes.patches import holding, letting_go
from portal.integrations.kubernetes.rollout_status import judge
from portal.integrations.kubernetes.workloads import (
    PLURALS,
    ROLLOUT,
    ROLLOUT_ANNOTATION,
    Reference,
    Workload,
)
from portal.sentences import kept
from releases.rollouts import leases, rollback, stop_points
from releases.rollouts.leases import Lease
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.states import DONE, Direction, OrderKind, StepState
from releases.rollouts.steps.kind import Json
from releases.rollouts.tables import DEFAULT_WORKLOAD_KIND, WRITES_TEMPLATE

ACTS = HOLD, LET_GO, ABORT = "hold", "let_go", "abort"
ASKED, WRITTEN, REACHED, UNNEEDED, UNREACHED = "asked", "written", "reached", "unneeded", "unreached"
# There is no way to hold it.
GOES_ON = "goes_on"
OPEN = frozenset({ASKED, WRITTEN})
# What can be held where it is.
HELD_KINDS = frozenset({ROLLOUT, "Deployment"})
# So long a cluster is tried, and so long its controller is given to take up what was written.
TRY_SECONDS = 60
TAKE_UP_SECONDS = 15
MOST_CONFLICTS = 5
HOLDS = frozenset({OrderKind.PAUSE, OrderKind.STOP})
# These end a pause, on whichever way.
LETS_GO = frozenset({OrderKind.RESUME, OrderKind.RETRY, OrderKind.SKIP, OrderKind.ROLLBACK})
# The service, the kind and the name of a workload.
Key = tuple[str, str, str]


@dataclass(frozen=True)
class _Try:
    """What came of one try: how the target stands now, and what is in the way, as `kept` gives it."""

    state: str
    message: Any = ""


def targets(rollout: Rollout, kind: str, steps: Sequence[Step], *, way: Direction) -> list[Json]:
    """Return the workloads to which an order goes; none where this rollout has changed none.

    Args:
        steps: all of the rollout.
        way: a stop on the way back is a pause: half a way back is no place to end.
    """
    if kind not in HOLDS and not (kind in LETS_GO and _reached_before(rollout)):
        return []
    found = [(key, _act(key, last, kind, steps, way=way)) for key, last in sorted(_written(steps).items())]
    return [_target(key, act) for key, act in found if act]


def _written(steps: Iterable[Step]) -> dict[Key, Step]:
    """What this rollout has written the template of, or may have, each with the step that did so last."""
    found: dict[Key, Step] = {}
    for step in sorted(steps, key=lambda each: each.position):
        if step.kind in WRITES_TEMPLATE[step.direction] and step.intent is not None:
            found |= dict.fromkeys(_keys(step), step)
    return found


def _keys(step: Step) -> list[Key]:
    named = rollback.workloads_of(step) if step.params.keys() & {"workload", "workloads"} else []
    service = step.service.name if step.service else ""
    return [(service, each.get("kind", DEFAULT_WORKLOAD_KIND), each["name"]) for each in named]


def _act(key: Key, last: Step, kind: str, steps: Iterable[Step], *, way: Direction) -> str:
    """What an order does to a workload; empty where it leaves it alone."""
    _service, owner, _name = key
    if kind in HOLDS and owner == ROLLOUT:
        return ABORT if kind == OrderKind.STOP and way == Direction.FORWARD else HOLD
    if kind in HOLDS:
        return "" if _is_waited_for(key, last, steps) else HOLD
    if owner == ROLLOUT:
        return LET_GO
    return LET_GO if owner in HELD_KINDS and not _is_to_come_back(key, steps) else ""


def _is_waited_for(key: Key, last: Step, steps: Iterable[Step]) -> bool:
    """Whether what was written last has been waited for to its end."""
    return any(
        each.kind == "wait_rollout"
        and (each.direction, each.state) == (last.direction, StepState.SUCCEEDED)
        and key in _keys(each)
        for each in steps
    )


def _is_to_come_back(key: Key, steps: Iterable[Step]) -> bool:
    """Whether the next step of the way back writes its template, which lets it go.

    What is sized before that has to be let go now: a held Deployment keeps pods above its size.
    """
    left = [
        each
        for each in steps
        if each.direction == Direction.BACK and each.state not in DONE and key in _keys(each)
    ]
    first = min(left, key=lambda each: each.position, default=None)
    return first is not None and first.kind in WRITES_TEMPLATE[Direction.BACK]


def _target(key: Key, act: str) -> Json:
    service, kind, name = key
    state = ASKED if kind in HELD_KINDS else GOES_ON
    return {"service": service, "kind": kind, "workload": name, "act": act, "state": state, "message": ""}


def _reached_before(rollout: Rollout) -> bool:
    return rollout.orders.filter(reach__isnull=False).exists()


def is_known(order: Order) -> bool:
    """Whether this worker knows all that an order is to do in the cluster: a newer one may have begun it."""
    return all(each["act"] in ACTS for each in (order.reach or {"targets": []})["targets"])


def reach(lease: Lease, order: Order) -> bool:
    """Go once to each target that is not reached yet; True when nothing is left to wait for.

    Raises:
        LeaseLost: another worker took over.
    """
    assert order.reach is not None
    for target in order.reach["targets"]:
        if target["state"] in OPEN:
            leases.keep(lease)
            _note(lease, order, target, _tried(lease, order, target))
    return all(each["state"] not in OPEN for each in order.reach["targets"])


def give_up(order: Order, message: str) -> None:
    """Leave what is not reached yet; the order's row is locked."""
    assert order.reach is not None
    for target in order.reach["targets"]:
        if target["state"] in OPEN:
            target |= {"state": UNREACHED, "message": message}
    order.save(update_fields=["reach"])


def _note(lease: Lease, order: Order, target: Json, came: _Try) -> None:
    """Write down what came of a try."""
    if (came.state, came.message) == (target["state"], target["message"]):
        return
    target |= {"state": came.state, "message": came.message}
    with leases.writing(lease):
        order.save(update_fields=["reach"])


def _tried(lease: Lease, order: Order, target: Json) -> _Try:
    """Try once; give up in time, so that the order is reported with what is in the way."""
    assert order.reach is not None
    asked = datetime.fromisoformat(order.reach["since"])
    environment = lease.rollout.environment
    reference = Reference(target.get("kind", ROLLOUT), environment.namespace, target["workload"])
    try:
        came = _Reaching(connect(environment.cluster.spec), reference, lease).come(target["act"])
    except PermanentError as error:
        return _Try(UNNEEDED if error.code == MISSING else UNREACHED, kept(error.detail))
    except TemporaryError as error:
        late = clock.now() - asked > timedelta(seconds=TRY_SECONDS)
        return _Try(UNREACHED if late else target["state"], kept(error.detail))
    late = clock.now() - asked > timedelta(seconds=TAKE_UP_SECONDS)
    return _Try(UNREACHED, came.message) if late and came.state in OPEN else came


class _Reaching:
    """One workload, read anew for every try: what is there already is not written again."""

    def __init__(self, cluster: Cluster, reference: Reference, lease: Lease) -> None:
        self.cluster = cluster
        self.reference = reference
        self.lease = lease
        self.holder = str(lease.rollout_id)

    def come(self, act: str) -> _Try:
        """Bring it where the order wants it, and look whether its controller has taken that up."""
        for _ in range(MOST_CONFLICTS):
            try:
                return {HOLD: self._hold, LET_GO: self._let_go, ABORT: self._abort}[act]()
            except TemporaryError as error:
                # Its controller writes as well: what was read is old, and nothing was written.
                if error.code != CONFLICT:
                    raise
        return _Try(ASKED)

    def _hold(self) -> _Try:
        seen = self.cluster.workload(self.reference)
        if self._is_held(seen):
            return _Try(REACHED if _stands(seen) else WRITTEN)
        if seen.spec.get("paused") or not self._goes_on(seen):
            return _Try(UNNEEDED)
        self._write(seen, HOLD, holding(self.holder))
        return _Try(WRITTEN)

    def _goes_on(self, seen: Workload) -> bool:
        """Whether there is something to hold: an update that is this rollout's, and is not over."""
        if seen.reference.kind == ROLLOUT:
            canary = canary_of(seen)
            return not canary.finished and not canary.aborted
        ours = seen.annotations.get(ROLLOUT_ANNOTATION) == self.holder
        return (ours or bool(seen.helm_release)) and not judge(seen).done

    def _let_go(self) -> _Try:
        seen = self.cluster.workload(self.reference)
        if self._is_held(seen):
            self._write(seen, LET_GO, letting_go())
            return _Try(WRITTEN)
        return _Try(UNNEEDED if seen.spec.get("paused") else REACHED)

    def _abort(self) -> _Try:
        """Abort it, then let it go: a Rollout that is paused by hand would not shrink its canary."""
        seen = self.cluster.workload(self.reference)
        canary = canary_of(seen)
        if not is_current(seen):
            return _Try(ASKED)  # a controller that takes up a new template takes an abort away
        if canary.finished:
            return _Try(UNNEEDED)
        if not canary.aborted:
            self._write(seen, ABORT, {"status": {"abort": True}}, part="status")
            return _Try(WRITTEN)
        if self._is_held(seen):
            self._let_go()
            return _Try(WRITTEN)
        return _Try(REACHED if canary.phase == DEGRADED else WRITTEN)

    def _is_held(self, seen: Workload) -> bool:
        return seen.held_by == self.holder

    def _write(self, seen: Workload, act: str, body: Json, *, part: str = "") -> None:
        """Write over what was seen, and only where nobody has taken over since: it may be let go already."""
        with leases.writing(self.lease):
            pass
        self.cluster.change(PLURALS[seen.reference.kind], seen.raw, body, part=part)
        stop_points.reach("after_act", kind=act)


def _stands(seen: Workload) -> bool:
    """Whether the controller of what is held has taken that up."""
    if seen.reference.kind == ROLLOUT:
        return is_current(seen) and canary_of(seen).phase == PAUSED
    return judge(seen).waits_for != "observed"
