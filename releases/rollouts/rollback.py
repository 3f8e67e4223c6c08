"""The way back as steps: from what was recorded and done, in reverse order, verified at the end."""

from collections.abc import Iterable, Sequence
from typing import Any

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.integrations.kubernetes.workloads import ROLLOUT
from releases.rollouts.keys import fitting
from releases.rollouts.models import Pin, Rollout, Step
from releases.rollouts.states import Direction, StepState
from releases.rollouts.tables import GIVES_BACK, PARTS, TIMEOUTS, UNDONE_BY, WRITES_TEMPLATE

Json = dict[str, Any]

# How the plan checks a service once it runs; checked in the same way once it is back.
CHECKS = frozenset({"health", "http"})
# What says to a step which objects it is about, and what was done to them.
TARGETS = ("workload", "services", "selector", "route", "helm", "workloads", "manifests")
# How long first pods are watched is as on the way forward.
KEPT = (*TARGETS, "settleSeconds")
# Restored to what was recorded, however often it was changed: once is enough.
RESTORED_ONCE = frozenset({"scale", "set_weight"})


def touched(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that changed, or may have changed, the cluster."""
    return [each for each in steps if each.kind in UNDONE_BY and each.intent is not None]


def in_order_of_return(changed: Iterable[Step]) -> list[Step]:
    """Return the changing steps in the order in which they are taken back: the last wave first."""
    return [each for wave in _waves(changed) for side in _sides(wave) for each in side]


def _waves(changed: Iterable[Step]) -> list[list[Step]]:
    """The changing steps by wave, the last first; a canary's pods are given back where it has its shares."""
    steps = list(changed)
    shared = {
        (each.service_id, share["canary"]): each.wave
        for each in steps
        if "canary" in (share := each.params.get("share") or {})
    }
    own = [each for each in steps if each.wave <= shared.get(_sized(each), each.wave)]
    waves = sorted({each.wave for each in own}, reverse=True)
    return [[each for each in own if each.wave == wave] for wave in waves]


def _sized(step: Step) -> tuple[int | None, str]:
    """The service and the workload whose size a step changes."""
    return step.service_id, step.params["workload"]["name"] if step.kind == "scale" else ""


def _sides(changed: Sequence[Step]) -> tuple[list[Step], list[Step], list[Step]]:
    """Split a wave into what came after its members, them, and what came before, each as it is taken back."""
    members = [each for each in changed if each.kind in WRITES_TEMPLATE[Direction.FORWARD]]
    first = min((each.position for each in members), default=0)
    others = set(changed) - set(members)
    beside = _once(sorted(others, key=lambda each: (-_given_back(each, others), -each.position)))
    late = [each for each in beside if each.position > first]
    return late, members, [each for each in beside if each.position < first]


def _given_back(step: Step, others: Iterable[Step]) -> float:
    """The position at which a step is taken back: a canary's pods go once the stable workload has its own."""
    sizes = [each for each in others if each.kind == "scale" and each.service_id == step.service_id]
    shares = [each.params["share"] for each in sizes if "canary" in (each.params.get("share") or {})]
    stable = {(step.service_id, each["stable"]) for each in shares if _sized(step)[1] == each["canary"]}
    return min([step.position, *(each.position - 0.5 for each in sizes if _sized(each) in stable)])


def _once(steps: Sequence[Step]) -> list[Step]:
    """Of the steps that are taken back by one and the same restoring, the first."""
    found: list[Step] = []
    for step in steps:
        if step.kind not in RESTORED_ONCE or not any(is_taken_back_with(step, each) for each in found):
            found.append(step)
    return found


def is_taken_back_with(step: Step, other: Step) -> bool:
    """Whether restoring what the one changed restores what the other did."""
    if step.kind not in RESTORED_ONCE or (step.kind, step.service_id) != (other.kind, other.service_id):
        return False
    return all(step.params.get(key) == other.params.get(key) for key in TARGETS)


def net_changes(steps: Sequence[Step], origin: Step) -> list[Json]:
    """What restoring a step takes back: from what was written last to what was there first, by field."""
    changed = [each for each in touched(steps) if each is origin or is_taken_back_with(each, origin)]
    found: dict[tuple[str, str], Json] = {}
    for step in sorted(changed, key=lambda each: each.position):
        for change in (step.intent or {}).get("changes", []):
            key = (str(change.get("object", "")), str(change.get("field", "")))
            first = found.get(key, change)
            found[key] = {**change, "before": first.get("before")}
    return [each for each in found.values() if each.get("before") != each.get("after")]


def add_way_back(rollout: Rollout, steps: Sequence[Step]) -> list[Step]:
    """Write the back steps of a rollout: the last wave first, each service restored and checked."""
    return _WayBack(rollout, steps).write()


class _WayBack:
    def __init__(self, rollout: Rollout, steps: Sequence[Step]) -> None:
        self.rollout = rollout
        self.steps = steps
        self.made: list[Step] = []

    def write(self) -> list[Step]:
        after: list[Step] = []
        for wave in _waves(touched(self.steps)):
            after = self._wave(wave, after)
        if self.made:
            verify = Step(
                key="back.verify_digests",
                kind="verify_digests",
                timeout_seconds=TIMEOUTS["verify_digests"],
            )
            self._add(verify, after=after)
        return self.made

    def _wave(self, changed: Sequence[Step], after: list[Step]) -> list[Step]:
        """Take a wave back: what came after its members first, what came before them last."""
        late, members, early = _sides(changed)
        for origin in late:
            after = [self._restore(origin, after)]
        services = dict.fromkeys(each.service_id for each in members)
        after = [
            end
            for service in services
            for end in self._service([each for each in members if each.service_id == service], after)
        ] or after
        for origin in early:
            after = [self._restore(origin, after)]
        return after

    def _service(self, origins: Sequence[Step], after: Sequence[Step]) -> list[Step]:
        """Restore the workloads of one service and wait for them, then check it as on the way forward."""
        ends = [
            self._waited(origin, workload, restore)
            for origin in origins
            for restore in [self._skipping(origin, self._restore(origin, after))]
            for workload in workloads_of(origin)
        ]
        seen: list[tuple[str, Json]] = []
        for check in self._forward(origins[0], CHECKS):
            asked = _of_all(check)
            if (asked.kind, asked.params) not in seen:
                seen.append((asked.kind, {**asked.params}))
                ends = [self._add(asked, after=ends)]
        return ends

    def _restore(self, origin: Step, after: Sequence[Step]) -> Step:
        step = Step(
            key=f"back.{origin.key}",
            kind=UNDONE_BY[origin.kind],
            service=origin.service,
            wave=origin.wave,
            wave_title=origin.wave_title,
            params={key: origin.params[key] for key in KEPT if key in origin.params},
            timeout_seconds=TIMEOUTS[UNDONE_BY[origin.kind]],
            undo_of=origin,
        )
        return self._add(step, after=after)

    def _skipping(self, origin: Step, restore: Step) -> Step:
        """A canary that had reached its end would walk all its steps back: they are skipped."""
        if (origin.params.get("workload") or {}).get("kind") != ROLLOUT:
            return restore
        step = Step(
            key=f"back.{origin.key}.promote",
            kind="promote",
            service=origin.service,
            wave=origin.wave,
            wave_title=origin.wave_title,
            params={"workload": origin.params["workload"], "full": True, "settleSeconds": 0},
            timeout_seconds=TIMEOUTS["promote"],
        )
        return self._add(step, after=[restore])

    def _waited(self, origin: Step, workload: Json, restore: Step) -> Step:
        """Wait as the plan does, as long and with the same time to settle."""
        found = self._forward(origin, frozenset({"wait_rollout"}))
        own = [each for each in found if each.params.get("workload") == workload]
        waiting = _again(own[0] if own else origin)
        waiting.params = {**waiting.params, "workload": workload}
        name = f".{workload['name']}" if len(workloads_of(origin)) > 1 else ""
        waiting.key, waiting.kind = f"back.{origin.key}.wait_rollout{name}", "wait_rollout"
        waiting.timeout_seconds = own[0].timeout_seconds if own else TIMEOUTS["wait_rollout"]
        return self._add(waiting, after=[restore])

    def _forward(self, origin: Step, kinds: frozenset[str]) -> list[Step]:
        return [
            each
            for each in self.steps
            if each.kind in kinds and (each.wave, each.service_id) == (origin.wave, origin.service_id)
        ]

    def _add(self, step: Step, *, after: Sequence[Step]) -> Step:
        last = max((each.position for each in self.steps), default=0)
        step.rollout, step.direction = self.rollout, Direction.BACK
        step.key = fitting(step.key)
        step.position = last + len(self.made) + 1
        step.params = {**step.params, "section": "back"}
        step.save()
        step.depends_on.set(after)
        self.made.append(step)
        return step


def workloads_of(origin: Step) -> list[Json]:
    """What a step wrote to: its workload, or all that Helm renders for the service."""
    own: Json | None = origin.params.get("workload")
    return [own] if own else list(origin.params["workloads"])


def _again(forward: Step) -> Step:
    """The same look as on the way forward."""
    params = {key: value for key, value in forward.params.items() if key != "accepted_drifts"}
    return Step(
        key=f"back.{forward.key}",
        kind=forward.kind,
        service=forward.service,
        wave=forward.wave,
        wave_title=forward.wave_title,
        params=params,
        timeout_seconds=forward.timeout_seconds,
    )


def _of_all(forward: Step) -> Step:
    """The same check, of the service as a whole: the part that it was about may be without pods by now."""
    check = _again(forward)
    check.params = {key: value for key, value in check.params.items() if key not in PARTS}
    return check


def pin_services(rollout: Rollout, steps: Sequence[Step], *, actor: Actor) -> None:
    """Keep automation from rolling the restored services forward again until a person lifts the pin."""
    for step in steps:
        if step.kind not in GIVES_BACK or step.state != StepState.SUCCEEDED or step.service is None:
            continue
        _pin, created = Pin.objects.get_or_create(
            service=step.service,
            environment=rollout.environment,
            lifted_at=None,
            defaults={"rollout": rollout, "set_at": clock.now()},
        )
        if created:
            subject = ("pin", f"{step.service.name}@{rollout.environment.name}")
            name = step.service.name
            record("pin.set", actor=actor, subject=subject, release=rollout.release_id, service=name)
