"""Waits until the workload runs what was set: kubectl's rules, failing early by what the pods say."""

from dataclasses import replace
from datetime import datetime

from portal import clock
from portal.integrations.argo import rollouts
from portal.integrations.kubernetes.rollout_status import Progress, condition, judge
from portal.integrations.kubernetes.trouble import (
    WARNINGS,
    Sights,
    Trouble,
    find_trouble,
    restart_counts,
)
from portal.integrations.kubernetes.workloads import DAEMON_SET, ROLLOUT, Workload
from releases.rollouts.drift import deleted, find_drift
from releases.rollouts.states import StepState
from releases.rollouts.steps import canaries, endings, evidence, habits, holds, steadiness
from releases.rollouts.steps.kind import (
    Json,
    Outcome,
    Planned,
    StepKind,
    Verdict,
    Work,
    done,
    failed,
    hold,
)
from releases.rollouts.steps.set_image import expected_spec, read_or_none
from releases.rollouts.steps.settled import watched

# These own their pods themselves, and tell their templates apart by revisions.
STATEFUL_SET = "StatefulSet"
WITHOUT_SETS = frozenset({STATEFUL_SET, DAEMON_SET})
REVISION_LABEL = "controller-revision-hash"
OLD_POD = "OldPodInTheWay"


class WaitRollout(StepKind):
    """Looks at one workload until its rollout is done, troubled beyond hope, or changed by someone else."""

    name = "wait_rollout"
    is_told = True

    def plan(self, work: Work) -> Planned:
        """Say what would never end, or says little when it does."""
        seen = work.cluster.workload(work.workload)
        settles = steadiness.settle_seconds(work.step.params, seen)
        wrong = canaries.unlike_plan(work, seen) if seen.reference.kind == ROLLOUT else None
        notes = habits.habits_of(seen, settles=settles, timeout_seconds=work.step.timeout_seconds)
        return Planned(error=wrong.failure if wrong else None, notes=notes)

    def observe(self, work: Work) -> Outcome:
        """Judge the workload, then its pods where it is not done."""
        seen = read_or_none(work)
        if seen is None:
            return hold("drift", **deleted(str(work.workload)).args)
        held = foreign(work, seen)
        if held is not None:
            return held
        acted = _written(work) or {}
        progress = judge(seen, images=acted.get("images"))
        if _stale_deadline(progress, seen, acted):
            progress = Progress(
                done=False,
                ready=progress.ready,
                updated=progress.updated,
                wanted=progress.wanted,
                waits_for="updated",
            )
        if progress.waits_for == "unpaused" and seen.held_by:
            progress = replace(progress, waits_for="held")
        return self._judged(work, seen, progress)

    def _judged(self, work: Work, seen: Workload, progress: Progress) -> Outcome:
        if progress.failure == "deadline_exceeded" and not progress.done:
            return self._with_evidence(work, seen, progress, final=True)
        if progress.failure:
            return failed(progress.failure, progress.message)
        if progress.done or canaries.stands(work, seen, progress):
            return self._settled(work, seen, progress)
        return evidence.early(work, _shown(seen, progress)) or self._with_evidence(
            work, seen, progress, final=False
        )

    def _settled(self, work: Work, seen: Workload, progress: Progress) -> Outcome:
        kept = work.step.observed
        settle = steadiness.settle_seconds(work.step.params, seen, flaps=bool(kept.get("flaps")))
        settle = settle if seen.replicas else 0
        unprobed = {"unprobed": names} if (names := habits.unprobed_of(seen)) else {}
        counts = {"ready": progress.ready, "wanted": progress.wanted, **canaries.share(seen), **unprobed}
        reached = "rolled_out" if progress.done else "canary_stands"
        if settle <= 0:
            return done(reached, **counts)
        pods = new_pods(work, seen)
        baseline = _baseline(work, pods)
        return watched(work, pods, done(reached, **counts), seconds=settle, baseline=baseline)

    def _with_evidence(self, work: Work, seen: Workload, progress: Progress, *, final: bool) -> Outcome:
        now = clock.now()
        # Before its controller has seen the new template no pod has anything to say of it.
        owner = _owner(work, seen) if progress.waits_for != "observed" else None
        # Without an owner only old pods can hold it up, where new ones wait for them.
        present = _pods_below(work, seen) if owner or endings.turns_of(seen) else []
        blocking = _in_the_way(seen, present)
        own = _of_owner(work, seen, owner, present)
        pods = [*own, *blocking]
        events = evidence.events_of(work, fields=WARNINGS) if pods else []
        sights = Sights(dict(work.step.observed.get("sights") or {}))
        baseline = _baseline(work, pods)
        troubles = find_trouble(
            pods=pods, owner=owner or seen.raw, events=events, sights=sights, now=now, baseline=baseline
        )
        worst = _named(troubles[0], blocking) if troubles else None
        if worst is not None and worst.final and not _still_patient(work, worst, now):
            return _failure(work, worst, evidence.events_of(work))
        ending = endings.ending(present) if endings.turns_of(seen) else {}
        if final:
            deadline = worst or Trouble(code="ProgressDeadlineExceeded", message=progress.message)
            return _failure(work, deadline, evidence.events_of(work))
        observed = {
            **_shown(seen, progress),
            **ending,
            "sights": sights.seen,
            "baseline": baseline,
            **steadiness.readiness(work.step.observed, own),
            **evidence.at_last(work, pods, worst, now),
        }
        if worst is not None:
            observed["trouble"] = evidence.told(worst)
        return Outcome(verdict=Verdict.WAIT, observed=observed, wake_seconds=_wake_seconds(work, worst, now))


def _shown(seen: Workload, progress: Progress) -> Json:
    """What its own status says of a workload that is not done."""
    return {
        "code": f"waits_{progress.waits_for}",
        "ready": progress.ready,
        "wanted": progress.wanted,
        "updated": progress.updated,
        **canaries.share(seen),
        **({"command": holds.lifting(seen)} if progress.waits_for == "unpaused" else {}),
    }


def new_replica_set(work: Work, seen: Workload) -> Json | None:
    """Return the ReplicaSet that carries the present template, once the controller has made it."""
    found = work.cluster.find("replicasets", seen.reference.namespace, labels=seen.selector).items
    own = [each for each in found if _owned(each, seen.uid)]
    if seen.reference.kind == ROLLOUT:
        return rollouts.set_of(seen, own)
    same = [each for each in own if _without_hash(each["spec"]["template"]) == _without_hash(seen.template)]
    return min(same, key=lambda each: each["metadata"].get("creationTimestamp") or "", default=None)


def _pods_below(work: Work, seen: Workload) -> list[Json]:
    return work.cluster.find("pods", seen.reference.namespace, labels=seen.selector).items


def _of_owner(work: Work, seen: Workload, owner: Json | None, pods: list[Json]) -> list[Json]:
    """Return the pods of the new ReplicaSet, or revision where there are none; those that end left out."""
    if owner is None:
        return []
    own = [pod for pod in pods if _owned(pod, owner["metadata"]["uid"]) and not endings.is_ending(pod)]
    if seen.reference.kind not in WITHOUT_SETS:
        return own
    revision = _revision(work, seen)
    return [pod for pod in own if _revision_of(pod) == revision]


def _revision(work: Work, seen: Workload) -> str | None:
    """What the pods of the present template are labelled with; None where that is not known yet."""
    if seen.reference.kind == STATEFUL_SET:
        return seen.status.get("updateRevision")
    if seen.generation > int(seen.status.get("observedGeneration") or 0):
        return None
    # A DaemonSet does not say in its status which revision is the new one: the last that was made.
    found = work.cluster.find("controllerrevisions", seen.reference.namespace, labels=seen.selector).items
    own = [each for each in found if _owned(each, seen.uid)]
    newest = max(own, key=lambda each: int(each["revision"]), default=None)
    return newest["metadata"]["labels"].get(REVISION_LABEL) if newest else None


def _in_the_way(seen: Workload, pods: list[Json]) -> list[Json]:
    """Return the pods of another template that a StatefulSet waits for before it replaces any, them included.

    Source: "Forced rollback" in the Kubernetes documentation of StatefulSets; only people can delete them.
    """
    if seen.reference.kind != STATEFUL_SET or seen.spec.get("podManagementPolicy") == "Parallel":
        return []
    revision = seen.status.get("updateRevision")
    return [
        pod
        for pod in pods
        if _owned(pod, seen.uid)
        and not endings.is_ending(pod)
        and not _ready(pod)
        and _revision_of(pod) != revision
    ]


def _named(trouble: Trouble, blocking: list[Json]) -> Trouble:
    """Say of a pod in the way that it is in the way, and what is wrong with it."""
    if trouble.pod not in {pod["metadata"]["name"] for pod in blocking}:
        return trouble
    return replace(trouble, code=OLD_POD, message=f"{trouble.code}: {trouble.message}")


def new_pods(work: Work, seen: Workload) -> list[Json]:
    """Return the pods that carry the present template."""
    owner = _owner(work, seen)
    return _of_owner(work, seen, owner, _pods_below(work, seen)) if owner else []


def _owner(work: Work, seen: Workload) -> Json | None:
    """The object that owns the pods of the present template; None where it is not made yet."""
    return seen.raw if seen.reference.kind in WITHOUT_SETS else new_replica_set(work, seen)


def foreign(work: Work, seen: Workload) -> Outcome | None:
    """Return a hold where somebody else has changed what this rollout wrote."""
    acted = _written(work)
    if acted is None:
        return None
    expected = expected_spec(work)
    scaled = expected[2] if expected else False
    drift = find_drift(
        seen,
        work.own_spec(direction=work.step.direction) or acted["spec"],
        uid=acted.get("uid", ""),
        scaled_by_others=scaled or _is_being_scaled(work),
        accepted=work.accepted_drifts,
    )
    if drift is None:
        return None
    return hold("drift", **drift.args)


def _is_being_scaled(work: Work) -> bool:
    """Whether a step beside this one may have written the size already, and does not know it yet."""
    same = (work.step.service_id, work.step.params.get("workload"))
    return any(
        each.state == StepState.RUNNING and each.intent is not None and each.acted is None
        for each in work.siblings
        if each.kind == "scale" and (each.service_id, each.params.get("workload")) == same
    )


def _written(work: Work) -> Json | None:
    """What was written last that asked for an image, on the way that the rollout goes."""
    written = [each for each in work.writes(direction=work.step.direction) if "images" in each]
    return written[-1] if written else None


def _stale_deadline(progress: Progress, seen: Workload, acted: Json) -> bool:
    if progress.failure != "deadline_exceeded" or not acted.get("stale_deadline"):
        return False
    progressing = condition(seen.raw.get("status") or {}, "Progressing")
    return bool(progressing.get("lastUpdateTime") == acted["stale_deadline"])


def _still_patient(work: Work, trouble: Trouble, now: datetime) -> bool:
    """After a retry the cluster still shows the old trouble until it has tried again itself."""
    return _patience_left(work, now) > 0 and trouble.code != "InvalidImageName"


def _patience_left(work: Work, now: datetime) -> float:
    if work.step.attempt == 1 or work.step.started_at is None:
        return 0.0
    seconds = int(work.step.params.get("retryPatienceSeconds") or 20)
    return seconds - (now - work.step.started_at).total_seconds()


def _wake_seconds(work: Work, worst: Trouble | None, now: datetime) -> float:
    """As always, and in the moment at which the patience with an old trouble ends."""
    poll, left = evidence.poll_seconds(work, worst), _patience_left(work, now)
    return min(poll, max(left, evidence.SOONEST_SECONDS)) if worst and left > 0 else poll


def _baseline(work: Work, pods: list[Json]) -> dict[str, int]:
    kept = work.step.observed.get("baseline")
    if isinstance(kept, dict):
        return kept
    record = work.sibling("record_running")
    before = ((record.before if record else None) or {}).get("restarts") or {}
    return before if work.step.attempt == 1 else {**before, **restart_counts(pods)}


def _failure(work: Work, trouble: Trouble, events: list[Json]) -> Outcome:
    return evidence.failure(work, trouble, events, name=str(work.step.params["workload"]["name"]))


def _owned(child: Json, uid: str) -> bool:
    owners = child["metadata"].get("ownerReferences") or []
    return any(each.get("uid") == uid and each.get("controller") for each in owners)


def _ready(pod: Json) -> bool:
    return condition(pod.get("status") or {}, "Ready").get("status") == "True"


def _revision_of(pod: Json) -> str | None:
    found: str | None = (pod["metadata"].get("labels") or {}).get(REVISION_LABEL)
    return found


def _without_hash(template: Json) -> Json:
    metadata = dict(template.get("metadata") or {})
    labels = {
        key: value for key, value in (metadata.get("labels") or {}).items() if key != "pod-template-hash"
    }
    rest = {
        key: value for key, value in metadata.items() if key not in {"labels", "creationTimestamp"} and value
    }
    return {"metadata": {**rest, "labels": labels}, "spec": template["spec"]}
