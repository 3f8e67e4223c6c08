"""Health asked of every pod of the new version, through the API server: a Service would answer for one.

One pod that keeps silent must not keep a worker: they are asked a few at a time, and no more of them once one
was not well.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

from portal.integrations.kubernetes.workloads import pods_with
from releases.rollouts.steps.answers import health_of, in_short
from releases.rollouts.steps.concerned import workloads_of
from releases.rollouts.steps.kind import Json, Outcome, Work, done, wait
from releases.rollouts.steps.wait_rollout import new_pods
from releases.rollouts.tables import PARTS

ASK_SECONDS = 1.0
ANSWER_SECONDS = 3.0
AT_ONCE = 8
# Whoever has not been asked by then has not answered.
LOOK_SECONDS = 10.0
SHOWN = 5
ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one pod says of its health; `status` is None where it does not answer."""

    pod: str
    status: str | None = None
    is_well: bool = False


def ask(work: Work, document: Json, service: Json) -> Outcome:
    """Ask every pod that the step is about once; all of them must be well.

    Args:
        document: {"kind", "port", "path", …} of the service's health.
        service: the Kubernetes Service whose ports it names.
    """
    pods = _pods(work, service)
    if not pods:
        names = ", ".join(str(each.reference) for each in workloads_of(work))
        return wait("health_no_pods", seconds=ASK_SECONDS, args={"names": names, "message": names})
    return judged(_ask(work, document, service, pods), count=len(pods))


def judged(answers: Sequence[Said], *, count: int) -> Outcome:
    """Say who is not well, else who is silent, else that all are well.

    Args:
        count: how many pods there are, with those that were not asked.
    """
    unwell = [f"{each.pod}: {each.status}" for each in answers if each.status and not each.is_well]
    if unwell:
        said = _told(unwell)
        return wait("unhealthy", seconds=ASK_SECONDS, args={"status": said, "message": said})
    silent = [each.pod for each in answers if each.status is None]
    if silent:
        args = {"count": len(silent), "names": _told(silent), "message": _told(silent)}
        return wait("pods_silent", seconds=ANSWER_SECONDS, args=args, unmeasured=True)
    statuses = ", ".join(sorted({str(each.status) for each in answers}))
    return done("pods_healthy", args={"count": count, "status": statuses})


def port_of(document: Json, service: Json, pod: Json) -> int:
    """Return where a pod listens for what its Service has at the document's port, else that port itself."""
    port = int(document["port"])
    known = [each for each in service["spec"].get("ports") or [] if each.get("port") == port]
    target = (known[0].get("targetPort") if known else None) or port
    if isinstance(target, int):
        return target
    named = {
        each.get("name"): int(each["containerPort"])
        for container in pod["spec"]["containers"]
        for each in container.get("ports") or []
    }
    return named.get(target, port)


def _pods(work: Work, service: Json) -> list[Json]:
    """Those of the new version, by name; of a service as a whole those that its Service leads to."""
    found = [pod for seen in workloads_of(work) for pod in new_pods(work, seen)]
    if not PARTS & work.step.params.keys():
        found = pods_with(service["spec"].get("selector") or {}, found)
    running = [pod for pod in found if (pod.get("status") or {}).get("phase") not in ENDED]
    return sorted(running, key=lambda pod: str(pod["metadata"]["name"]))


def _ask(work: Work, document: Json, service: Json, pods: Sequence[Json]) -> list[Said]:
    """Ask a few at a time, until one is not well or the time for a look is over."""
    answers: list[Said] = []
    until = monotonic() + LOOK_SECONDS
    cluster, namespace = work.cluster, work.environment.namespace

    def said(pod: Json) -> Said:
        name, port = str(pod["metadata"]["name"]), port_of(document, service, pod)
        answer = cluster.ask_pod(
            namespace, name, port=port, path=str(document["path"]), seconds=ANSWER_SECONDS
        )
        if answer is None:
            return Said(pod=name)
        is_well, told = health_of(document, answer.status, answer.body)
        return Said(pod=name, status=in_short(told), is_well=is_well)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for first in range(0, len(pods), AT_ONCE):
            some = pods[first : first + AT_ONCE]
            if monotonic() > until:
                return [*answers, *(Said(pod=str(each["metadata"]["name"])) for each in some)]
            work.beat()
            answers += pool.map(said, some)
            if not all(each.is_well for each in answers):
                break
    return answers


def _told(parts: Sequence[str]) -> str:
    return ", ".join([*parts[:SHOWN], *(["…"] if len(parts) > SHOWN else [])])
