"""Preflight: every pod of the namespace runs and is ready, so that what breaks later is ours."""

from portal.integrations.kubernetes.rollout_status import condition
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Verdict, Work, done, wait

SHOWN = 5


class PodsRunning(StepKind):
    """Looks at all pods of the namespace; finished Jobs' pods count as fine."""

    name = "pods_running"
    measures = True

    def plan(self, work: Work) -> Planned:
        """Name the pods that do not run now."""
        outcome = self.observe(work)
        args = outcome.observed.get("args") or {}
        wrong = {"code": "pods_not_running", "message": args.get("names", "")}
        return Planned(error=wrong if outcome.verdict == Verdict.WAIT else None)

    def observe(self, work: Work) -> Outcome:
        """Name the pods that do not run."""
        pods = work.cluster.find("pods", work.environment.namespace).items
        wrong = [pod["metadata"]["name"] for pod in pods if not _fine(pod)]
        if not wrong:
            return done("pods_running", count=len(pods))
        names = ", ".join(sorted(wrong)[:SHOWN])
        return wait("pods_not_running", args={"names": names, "count": len(wrong)})


def _fine(pod: Json) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return True
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return True
    return status.get("phase") == "Running" and condition(status, "Ready").get("status") == "True"
