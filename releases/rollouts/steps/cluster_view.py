"""Whether an application's own cluster (JGroups, Infinispan) is as large as expected, agreed and unchanged.

Every pod is asked, through the API server: a Service would answer for one. It passes when all of them report
the same view of the expected size, unchanged for a time; a view that swings fails (protocols.md, E).
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal import clock
from portal.errors import PermanentError
from portal.integrations.kubernetes.workloads import Reference, Workload, pods_with
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Verdict, Work, done, failed, wait
from releases.rollouts.tables import STABLE_SECONDS

ASK_SECONDS = 2.0
ANSWER_SECONDS = 3.0
AT_ONCE = 8
SHOWN = 5
# Of what a pod says no more is kept (characters).
LONGEST = 80
CHANGES = {"atMost": 3, "withinSeconds": 300}
STABLE_HEALTH = frozenset({"", "HEALTHY"})
# Where the answers of these say what is asked, unless the catalog says otherwise. JGroups has no view of its
# own over HTTP: this is what an application answers that shows it.
SHAPES: dict[str, Json] = {
    "jgroups": {"path": "/cluster/status", "size": "view.size", "names": "view.members", "id": "view.id"},
    "infinispan": {
        "path": "/rest/v2/container/health",
        "size": "cluster_health.number_of_nodes",
        "names": "cluster_health.node_names",
        "health": "cluster_health.health_status",
    },
}


@dataclass(frozen=True, kw_only=True)
class View:
    """What one pod says of its cluster; `size` is None where it does not answer so that one can tell."""

    pod: str
    size: int | None = None
    identity: str = ""
    health: str = ""


class ClusterView(StepKind):
    """Asks every pod for its view, again and again, until all have agreed for a time."""

    name = "cluster_view"
    measures = True

    def plan(self, work: Work) -> Planned:
        """Name a service of which nobody knows how it is asked."""
        _contract(work)
        return Planned()

    def measure(self, work: Work) -> Outcome:
        """Look once: a view that is not as it should be is a breach, pods that say nothing are unclear."""
        seen = judge(ask(work), wanted=expected(work))
        if seen["code"] == "view_settled":
            return done(**seen)
        if seen["code"] == "view_silent":
            return Outcome(verdict=Verdict.INCONCLUSIVE, observed=seen)
        return failed(seen["code"], args=seen["args"])

    def observe(self, work: Work) -> Outcome:
        """Ask, and count since when the view stands and how often it has changed."""
        now = clock.now()
        seen = judge(ask(work), wanted=expected(work))
        history = remembered(work.step.observed.get("views") or [], seen, now, limits=_limits(work))
        return concluded(work, seen, history, now)


def ask(work: Work) -> list[View]:
    """Ask every pod that should be a member; those that end do not count any more."""
    contract = _contract(work)
    names = [pod["metadata"]["name"] for pod in _pods(work)]
    cluster, namespace = work.cluster, work.environment.namespace

    def view_of(pod: str) -> View:
        answer = cluster.ask_pod(
            namespace, pod, port=contract["port"], path=contract["path"], seconds=ANSWER_SECONDS
        )
        body = answer.body if answer is not None and answer.status == 200 else None
        return read_view(pod, body, contract)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(view_of, names))


def read_view(pod: str, body: Any, contract: Mapping[str, Any]) -> View:
    """Read an answer by the contract's paths; a list stands for as many members as it has.

    Members are compared by name where they are named, and the view by its number where it has one.
    """
    size, names = at(body, contract["size"]), at(body, contract.get("names", ""))
    count = len(size) if isinstance(size, list) else size
    if not isinstance(count, int) or isinstance(count, bool):
        return View(pod=pod)
    told = ",".join(sorted(map(str, names))) if isinstance(names, list) else ""
    number = at(body, contract.get("id", ""))
    identity = f"{number if number is not None else ''} {told}".strip()
    if len(identity) > LONGEST:
        # Kept with each change of the view: what it is called is of no use, only that it is another.
        identity = hashlib.sha256(identity.encode()).hexdigest()
    health = str(at(body, contract.get("health", "")) or "")[:LONGEST]
    return View(pod=pod, size=count, identity=identity, health=health)


def at(body: Any, path: str) -> Any:
    """What stands at `a.b.0` of an answer; None where nothing does."""
    if not path:
        return None
    for part in path.split("."):
        if isinstance(body, dict):
            body = body.get(part)
        elif isinstance(body, list) and part.isdigit() and int(part) < len(body):
            body = body[int(part)]
        else:
            return None
    return body


def judge(views: Sequence[View], *, wanted: int) -> Json:
    """Return {"code", "args", "ready", "wanted", "view"} of one look round; the view tells changes."""
    silent = [view.pod for view in views if view.size is None]
    sizes = {view.size for view in views if view.size is not None}
    identities = {view.identity for view in views if view.size is not None}
    unwell = sorted({view.health for view in views} - STABLE_HEALTH)
    agreed = len(sizes) <= 1 and len(identities) <= 1
    size = max(sizes, default=0)
    view = f"{size} {next(iter(identities), '')}" if agreed else "…"
    counts = {"ready": size, "wanted": wanted, "view": view}
    if silent:
        names = ", ".join(sorted(silent)[:SHOWN])
        return {"code": "view_silent", "args": {"count": len(silent), "names": names}, **counts}
    if unwell:
        return {"code": "view_rebalances", "args": {"status": ", ".join(unwell)}, **counts}
    if agreed and size == wanted:
        return {"code": "view_settled", "args": {"pods": len(views), "size": size}, **counts}
    return {"code": "view_differs", "args": {"wanted": wanted, "seen": _told(views)}, **counts}


def remembered(
    views: Sequence[Sequence[Any]], seen: Json, now: datetime, *, limits: Mapping[str, int]
) -> list[list[Any]]:
    """The changes of the view, [[time, size, view]], the oldest forgotten but for the one that stands.

    What pods that say nothing would have said is no change.
    """
    kept = [list(each) for each in views]
    if seen["code"] == "view_silent":
        return kept
    present = [seen["ready"], f"{seen['code']} {seen['view']}"]
    if not kept or kept[-1][1:] != present:
        kept.append([now.isoformat(), *present])
    recent = [each for each in kept if _ago(each[0], now) <= limits["withinSeconds"]]
    return recent if recent and recent[-1] is kept[-1] else [*recent, kept[-1]]


def swings(history: Sequence[Sequence[Any]], *, limits: Mapping[str, int]) -> int:
    """How often the view came back to a size that it had left, where that is too often, else 0.

    A cluster that grows or shrinks changes at each step of it, but never comes back.
    """
    sizes = [each[1] for each in history]
    returns = [size for at, size in enumerate(sizes) if size in sizes[:at] and size != sizes[at - 1]]
    return len(returns) if len(returns) > limits["atMost"] else 0


def concluded(work: Work, seen: Json, history: list[list[Any]], now: datetime) -> Outcome:
    """Pass, go on, or fail; with pods that say nothing until the end a person is asked."""
    limits = _limits(work)
    stable = int(work.step.params.get("stableSeconds", STABLE_SECONDS))
    kept = {"ready": seen["ready"], "wanted": seen["wanted"], "views": history}
    args = seen["args"]
    changes = swings(history, limits=limits)
    if changes:
        told = {
            "changes": changes,
            "seconds": limits["withinSeconds"],
            "seen": f"{seen['ready']}/{seen['wanted']}",
        }
        bad = failed("view_swings", args=told)
        return Outcome(verdict=bad.verdict, failure=bad.failure, observed=kept)
    if seen["code"] == "view_silent":
        # Nothing is known of that time: it counts anew.
        kept["views"] = []
        return wait("view_silent", seconds=ASK_SECONDS, args=args, undecided=True, **kept)
    if seen["code"] != "view_settled":
        return wait(seen["code"], seconds=ASK_SECONDS, args=args, **kept)
    left = stable - _ago(history[-1][0], now)
    if left <= 0:
        return done("view_settled", args=args, **kept)
    # In steps that people can read, so that not each look is news.
    shown = -int(-left // 10) * 10
    return wait("view_settling", seconds=min(ASK_SECONDS, left), args={**args, "seconds": shown}, **kept)


def expected(work: Work) -> int:
    """How many members there should be: a number, the pods of this colour, or those of all."""
    wanted = work.step.params.get("expected") or _contract(work).get("members") or "colour"
    if isinstance(wanted, int):
        return wanted
    return sum(workload.replicas for workload in _workloads(work, everything=wanted == "all"))


def _contract(work: Work) -> Json:
    service = work.step.service
    own = (service.spec.get("clusterView") if service else None) or {}
    if not own:
        raise PermanentError(code="no_cluster_view")
    return {**SHAPES[own["kind"]], **own}


def _limits(work: Work) -> Mapping[str, int]:
    limits: Mapping[str, int] = work.step.params.get("changes") or CHANGES
    return limits


def _workloads(work: Work, *, everything: bool) -> list[Workload]:
    """The workload of the step, or every one of its service that is there."""
    if not everything and "workload" in work.step.params:
        return [work.listed_workload(work.workload)]
    documents = work.step.service.spec.get("workloads") or [] if work.step.service else []
    found = [_listed(work, each) for each in documents]
    return [workload for workload in found if workload is not None]


def _listed(work: Work, document: Mapping[str, Any]) -> Workload | None:
    reference = Reference(document["kind"], work.environment.namespace, document["name"])
    try:
        return work.listed_workload(reference)
    except PermanentError:
        return None


def _pods(work: Work) -> list[Json]:
    """Those that should be members: of the step's workload, or of all where all are one cluster."""
    wanted = work.step.params.get("expected") or _contract(work).get("members")
    pods = work.collection("pods")
    return [
        pod
        for workload in _workloads(work, everything=wanted == "all")
        for pod in pods_with(workload.selector, pods)
        if not pod["metadata"].get("deletionTimestamp")
    ]


def _told(views: Sequence[View]) -> str:
    """What the pods say, the most frequent sizes first."""
    sizes: dict[int, int] = {}
    for view in views:
        sizes[view.size or 0] = sizes.get(view.size or 0, 0) + 1
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{size} (× {count})" for size, count in ordered) or "0"


def _ago(moment: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(moment)).total_seconds()
