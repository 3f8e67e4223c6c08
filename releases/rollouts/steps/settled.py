"""Pods that are all ready are watched for a while before they are believed, whatever waits for them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from portal import clock
from portal.integrations.kubernetes.trouble import find_trouble_since, restart_counts
from releases.rollouts.steps import evidence, steadiness
from releases.rollouts.steps.kind import Json, Outcome, Work, wait


def watched(
    work: Work, pods: Sequence[Json], reached: Outcome, *, seconds: int, baseline: Mapping[str, int]
) -> Outcome:
    """Return `reached` once the pods have stayed ready for so long; a failure where one dies meanwhile.

    Args:
        pods: that are ready now.
        reached: what the step comes to then; its counts are shown all the while.
        seconds: the time begins anew where a pod was not ready meanwhile; at 0 it is believed at once.
        baseline: restarts that were there before.
    """
    if seconds <= 0:
        return reached
    kept, now = work.step.observed, clock.now()
    restarts = kept.get("done_restarts") or restart_counts(pods)
    trouble = find_trouble_since(pods=pods, before=baseline, done=restarts, now=now)
    if trouble is not None:
        return evidence.failure(work, trouble, [], name=str(work.step.params["workload"]["name"]))
    since = datetime.fromisoformat(kept.get("done_since") or now.isoformat())
    if steadiness.fell(kept.get("ready_since") or {}, pods):
        since = now
    left = seconds - (now - since).total_seconds()
    if left <= 0:
        return reached
    counts = {name: value for name, value in reached.observed.items() if name != "code"}
    since_then = {"done_since": since.isoformat(), "done_restarts": restarts}
    return wait(
        "settling",
        seconds=min(left, evidence.poll_seconds(work)),
        args={"seconds": seconds},
        **since_then,
        **steadiness.readiness(kept, pods),
        **counts,
    )
