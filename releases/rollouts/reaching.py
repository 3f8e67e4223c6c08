"""Orders that reach into the cluster: a canary of Argo Rollouts goes on by itself where nobody holds it.

The order's row is the intent: to which Rollouts it goes is written with what it changes in the portal. The
writes are made outside any transaction and found again by what they left there; the order is reported once
their controller has taken them up. What cannot be reached never keeps the portal from stopping.

Requests: protocols.md, "Argo Rollouts (CRD)" (pause, abort).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal import clock
from portal.errors import PermanentError, TemporaryError
from portal.integrations.argo.rollouts import DEGRADED, PAUSED, canary_of, is_current
from portal.integrations.kubernetes.client import Cluster, connect
from portal.integrations.kubernetes.errors import CONFLICT, MISSING
from portal.integrations.kubernetes.workloads import PLURALS, ROLLOUT, Reference, Workload
from releases.rollouts import leases, stop_points
from releases.rollouts.leases import Lease
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.states import Direction, OrderKind
from releases.rollouts.steps.kind import Json
from releases.rollouts.tables import WRITES_TEMPLATE

# Which rollout of the portal holds a canary: only that one lets it go again.
HELD_BY = "portal/held"
HOLD, LET_GO, ABORT = "hold", "let_go", "abort"
ASKED, WRITTEN, REACHED, UNNEEDED, UNREACHED = "asked", "written", "reached", "unneeded", "unreached"
OPEN = frozenset({ASKED, WRITTEN})
# So long a cluster is tried, and so long its controller is given to take up what was written.
TRY_SECONDS = 60
TAKE_UP_SECONDS = 15
MOST_CONFLICTS = 5
# These end a pause, on whichever way.
LETS_GO = frozenset({OrderKind.RESUME, OrderKind.RETRY, OrderKind.SKIP, OrderKind.ROLLBACK})


@dataclass(frozen=True)
class _Try:
    """What came of one try: how the target stands now, and whether `spec.paused` was written."""

    state: str
    message: str = ""
    paused: bool | None = None


def targets(rollout: Rollout, kind: str, steps: Iterable[Step], *, way: Direction) -> list[Json]:
    """Return the canaries to which an order goes; none where this rollout has changed none.

    Args:
        steps: all of the rollout.
        way: a stop on the way back is a pause: half a way back is no place to end.
    """
    found = {(str(each.service), each.params["workload"]["name"]) for each in steps if _wrote_canary(each)}
    act = {OrderKind.PAUSE: HOLD, OrderKind.STOP: HOLD if way == Direction.BACK else ABORT}.get(
        OrderKind(kind), LET_GO
    )
    if not found or (act == LET_GO and not (kind in LETS_GO and _reached_before(rollout))):
        return []
    return [
        {"service": service, "workload": name, "act": act, "state": ASKED, "message": ""}
        for service, name in sorted(found)
    ]


def _wrote_canary(step: Step) -> bool:
    workload = step.params.get("workload") or {}
    writes = step.kind in WRITES_TEMPLATE[step.direction] and step.intent is not None
    return writes and workload.get("kind") == ROLLOUT


def _reached_before(rollout: Rollout) -> bool:
    return rollout.orders.filter(reach__isnull=False).exists()


def reach(lease: Lease, order: Order) -> bool:
    """Go once to each target that is not reached yet; True when nothing is left to wait for.

    Raises:
        LeaseLost: another worker took over.
    """
    assert order.reach is not None
    for target in order.reach["targets"]:
        if target["state"] in OPEN:
            leases.keep(lease)
            _note(lease, order, target, _tried(lease.rollout, order, target))
    return all(each["state"] not in OPEN for each in order.reach["targets"])


def _note(lease: Lease, order: Order, target: Json, came: _Try) -> None:
    """Write down what came of a try; what was written is no foreign change from then on."""
    if (came.state, came.message, came.paused) == (target["state"], target["message"], None):
        return
    target |= {"state": came.state, "message": came.message}
    with leases.writing(lease) as rollout:
        order.save(update_fields=["reach"])
        if came.paused is not None:
            _expect(rollout, target["workload"], paused=came.paused)


def _expect(rollout: Rollout, name: str, *, paused: bool) -> None:
    for step in rollout.steps.filter(params__workload__name=name, params__workload__kind=ROLLOUT):
        if step.acted and "spec" in step.acted:
            spec = {key: value for key, value in step.acted["spec"].items() if key != "paused"}
            step.acted = {**step.acted, "spec": {**spec, "paused": True} if paused else spec}
            step.save(update_fields=["acted"])


def _tried(rollout: Rollout, order: Order, target: Json) -> _Try:
    """Try once; give up in time, so that the order is reported with what is in the way."""
    assert order.reach is not None
    asked = datetime.fromisoformat(order.reach["since"])
    cluster = connect(rollout.environment.cluster.spec)
    reference = Reference(ROLLOUT, rollout.environment.namespace, target["workload"])
    try:
        came = _Reaching(cluster, reference, str(rollout.pk)).come(target["act"])
    except PermanentError as error:
        return _Try(UNNEEDED if error.code == MISSING else UNREACHED, str(error.detail))
    except TemporaryError as error:
        late = clock.now() - asked > timedelta(seconds=TRY_SECONDS)
        return _Try(UNREACHED if late else target["state"], str(error.detail))
    late = clock.now() - asked > timedelta(seconds=TAKE_UP_SECONDS)
    return _Try(UNREACHED, came.message, came.paused) if late and came.state in OPEN else came


class _Reaching:
    """One canary, read anew for every try: what is there already is not written again."""

    def __init__(self, cluster: Cluster, reference: Reference, holder: str) -> None:
        self.cluster = cluster
        self.reference = reference
        self.holder = holder

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
        canary = canary_of(seen)
        if self._is_held(seen):
            return _Try(REACHED if is_current(seen) and canary.phase == PAUSED else WRITTEN, paused=True)
        if canary.finished or canary.aborted or seen.spec.get("paused"):
            return _Try(UNNEEDED)
        self._write(seen, HOLD, {"metadata": _mark(self.holder), "spec": {"paused": True}})
        return _Try(WRITTEN, paused=True)

    def _let_go(self) -> _Try:
        seen = self.cluster.workload(self.reference)
        if self._is_held(seen):
            self._write(seen, LET_GO, {"metadata": _mark(None), "spec": {"paused": None}})
            return _Try(WRITTEN, paused=False)
        return _Try(UNNEEDED if seen.spec.get("paused") else REACHED, paused=False)

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
            return _Try(WRITTEN, paused=self._let_go().paused)
        return _Try(REACHED if canary.phase == DEGRADED else WRITTEN)

    def _is_held(self, seen: Workload) -> bool:
        marks = seen.raw["metadata"].get("annotations") or {}
        return bool(seen.spec.get("paused")) and marks.get(HELD_BY) == self.holder

    def _write(self, seen: Workload, act: str, body: Json, *, part: str = "") -> None:
        self.cluster.change(PLURALS[ROLLOUT], seen.raw, body, part=part)
        stop_points.reach("after_act", kind=act)


def _mark(holder: str | None) -> Json:
    return {"annotations": {HELD_BY: holder}}
