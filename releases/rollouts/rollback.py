"""The way back as steps: from what was recorded and done, in reverse order, verified at the end."""

from collections.abc import Sequence

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from releases.rollouts.graph import TIMEOUTS
from releases.rollouts.models import Pin, Rollout, Step
from releases.rollouts.states import Direction, StepState


def touched(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that changed, or may have changed, the cluster."""
    return [each for each in steps if each.kind == "set_image" and each.intent is not None]


def add_way_back(rollout: Rollout, steps: Sequence[Step]) -> list[Step]:
    """Write the back steps of a rollout: the last wave first, each service restored and waited for."""
    changed = touched(steps)
    waves = sorted({each.wave for each in changed}, reverse=True)
    after: list[Step] = []
    made: list[Step] = []
    position = max((each.position for each in steps), default=0)
    for wave in waves:
        ends: list[Step] = []
        for origin in (each for each in changed if each.wave == wave):
            chain = _chain(rollout, origin, steps, after=after, position=position + len(made) + 1)
            made += chain
            ends.append(chain[-1])
        after = ends
    if made:
        made.append(_verify(rollout, after, position + len(made) + 1))
    return made


def _chain(
    rollout: Rollout, origin: Step, steps: Sequence[Step], *, after: Sequence[Step], position: int
) -> list[Step]:
    workload = origin.params["workload"]
    limits = [
        each.timeout_seconds
        for each in steps
        if (each.kind, each.params.get("workload")) == ("wait_rollout", workload)
    ]
    timeout = limits[0] if limits else TIMEOUTS["wait_rollout"]
    restore = _step(rollout, origin, "restore_image", position, TIMEOUTS["restore_image"], undo_of=origin)
    restore.depends_on.set(after)
    waiting = _step(rollout, origin, "wait_rollout", position + 1, timeout)
    waiting.depends_on.set([restore])
    return [restore, waiting]


def _step(
    rollout: Rollout, origin: Step, kind: str, position: int, timeout: int, *, undo_of: Step | None = None
) -> Step:
    return Step.objects.create(
        rollout=rollout,
        key=f"back.{origin.key}" if kind == "restore_image" else f"back.{origin.key}.{kind}",
        kind=kind,
        direction=Direction.BACK,
        service=origin.service,
        wave=origin.wave,
        wave_title=origin.wave_title,
        position=position,
        params={"workload": origin.params["workload"], "section": "back"},
        timeout_seconds=timeout,
        undo_of=undo_of,
    )


def _verify(rollout: Rollout, after: Sequence[Step], position: int) -> Step:
    step = Step.objects.create(
        rollout=rollout,
        key="back.verify_digests",
        kind="verify_digests",
        direction=Direction.BACK,
        position=position,
        params={"section": "back"},
        timeout_seconds=TIMEOUTS["verify_digests"],
    )
    step.depends_on.set(after)
    return step


def pin_services(rollout: Rollout, steps: Sequence[Step], *, actor: Actor) -> None:
    """Keep automation from rolling the restored services forward again until a person lifts the pin."""
    for step in steps:
        if step.kind != "restore_image" or step.state != StepState.SUCCEEDED or step.service is None:
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
