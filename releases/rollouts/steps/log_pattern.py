"""Whether the last log lines of the new pods hold what they must, and nothing of what they must not.

The lines are masked before they are compared: by a pattern nobody finds out what a secret is.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from portal.errors import PermanentError, TemporaryError
from portal.masking import masked_lines
from portal.sentences import kept
from releases.rollouts.steps.concerned import workloads_of
from releases.rollouts.steps.kind import Json, Outcome, StepKind, Work, done, failed, wait
from releases.rollouts.steps.log_patterns import found_in
from releases.rollouts.steps.wait_rollout import new_pods

ASK_SECONDS = 2.0
AT_ONCE = 8
USUAL_LINES = 200
# Of more pods than this the first, by name, stand for all.
MOST_PODS = 20
EVIDENCE = 10
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Log:
    """The end of one container's log; `lines` is None where it cannot be read now, and `why` says why."""

    pod: str
    container: str
    lines: Sequence[str] | None = None
    why: Any = ""


class LogPattern(StepKind):
    """Reads the ends of the logs of the pods that carry the present template."""

    name = "log_pattern"
    measures = True

    def observe(self, work: Work) -> Outcome:
        """Read them once, and judge."""
        pods = sorted((pod for seen in workloads_of(work) for pod in new_pods(work, seen)), key=_name)
        logs = _read(work, pods[:MOST_PODS])
        params = work.step.params
        return judge(logs, forbid=params.get("forbid") or (), require=params.get("require") or ())


def judge(logs: Sequence[Log], *, forbid: Sequence[str], require: Sequence[str]) -> Outcome:
    """Fail by the first log that holds what it must not; wait for logs that lack something.

    Args:
        forbid: patterns that no log may hold.
        require: patterns that each pod's logs must hold, in one container or another.
    """
    for log in logs:
        for pattern, lines in found_in(forbid, log.lines or ()):
            evidence: Json = {"pod": log.pod, "container": log.container, "log": lines[-EVIDENCE:]}
            return failed("log_forbidden", args={"pattern": pattern, "count": len(lines)}, **evidence)
    unread = [log for log in logs if log.lines is None]
    if unread:
        told = {"names": _told(unread), "message": unread[0].why}
        return wait("log_unread", seconds=ASK_SECONDS, args=told, unmeasured=True)
    pods = sorted({log.pod for log in logs})
    if not pods:
        return wait("log_no_pods", seconds=ASK_SECONDS, undecided=True)
    for pattern in require:
        holding = {log.pod for log in logs if found_in([pattern], log.lines or ())}
        lacking = [pod for pod in pods if pod not in holding]
        if lacking:
            args: Json = {"pattern": pattern, "names": ", ".join(lacking[:SHOWN]), "count": len(lacking)}
            return wait("log_lacks", seconds=ASK_SECONDS, args=args)
    return done("log_good", args={"pods": len(pods), "lines": sum(len(log.lines or ()) for log in logs)})


def _read(work: Work, pods: Sequence[Json]) -> list[Log]:
    wanted = work.step.params.get("container")
    places = [
        (str(pod["metadata"]["name"]), str(each["name"]))
        for pod in pods
        for each in pod["spec"]["containers"]
        if wanted in {None, each["name"]}
    ]
    lines = int(work.step.params.get("lines", USUAL_LINES))
    cluster, namespace = work.cluster, work.environment.namespace

    def read(place: tuple[str, str]) -> Log:
        pod, container = place
        try:
            found = cluster.log_tail(namespace, pod, container=container, previous=False, lines=lines)
        except (TemporaryError, PermanentError) as error:
            return Log(pod=pod, container=container, why=kept(error.detail))
        return Log(pod=pod, container=container, lines=masked_lines(found))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(read, places))


def _told(logs: Sequence[Log]) -> str:
    return ", ".join(f"{log.pod}/{log.container}" for log in logs[:SHOWN])


def _name(pod: Json) -> str:
    return str(pod["metadata"]["name"])
