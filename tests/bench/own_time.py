"""The cluster's own time in a rollout, and where more than that went.

The cluster is at work on an object from the moment at which kubectl's watch shows it changed until it shows
it complete: a workload by its counts, a Job by its end. What is worked on at the same time counts as long as
the slowest of it: that one member of a wave began after the other is no work of the cluster's. What the plan
itself waits for (the time of its watches) is added; the time in which people were asked is left out on both
sides.

A step for which the cluster does nothing (Services that are switched, weights, gates, health, notices) has no
own time: what the portal takes for it from the first change to the last counts against the portal.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from tests.bench.kubectl import Lines, kubectl_lines
from tests.bench.portal import Portal

WORKLOAD = (
    "{.kind}/{.metadata.name},{.metadata.generation},{.status.observedGeneration},{.spec.replicas},"
    '{.status.updatedReplicas},{.status.replicas},{.status.availableReplicas}{"\\n"}'
)
JOB = '{.kind}/{.metadata.name},{.status.completionTime}{"\\n"}'
WATCHED = {"deployments": WORKLOAD, "statefulsets": WORKLOAD, "jobs": JOB}
LATE_LINES_SECONDS = 0.5
WATCH = "watch"
STAGGERED = "members that begin after one another"


@dataclass(frozen=True)
class Span:
    """From when to when, in seconds of the wall clock; of a step with its kind."""

    begun: float
    ended: float
    kind: str = ""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.ended - self.begun

    def has(self, at: float) -> bool:
        """Whether a moment lies in it."""
        return self.begun <= at < self.ended


@dataclass
class Watched:
    """What the cluster was at work on, as kubectl reported it."""

    works: list[Span] = field(default_factory=list)
    _known: dict[str, str] = field(default_factory=dict)
    _open: dict[str, float] = field(default_factory=dict)

    def see(self, at: float, line: str) -> None:
        """Take one line of kubectl."""
        name, *fields = line.split(",")
        if name.startswith("Job/"):
            self._see(name, at, "made", complete=bool(fields[0]))
            return
        generation, observed, *counts = fields
        same = len({each or "0" for each in counts}) == 1
        self._see(name, at, generation, complete=same and observed == generation)

    def _see(self, name: str, at: float, version: str, *, complete: bool) -> None:
        if self._known.get(name) != version:
            self._known[name] = version
            self._open.setdefault(name, at)
        if complete and name in self._open:
            self.works.append(Span(self._open.pop(name), at, name))

    def after(self, moment: float) -> list[Span]:
        """What was begun since then, in order; the first list shows all that was there before as begun."""
        return sorted((each for each in self.works if each.begun >= moment), key=lambda each: each.begun)


@dataclass(frozen=True)
class Measured:
    """One rollout: the cluster's work, the steps, in which time people were asked, and what the plan waits.

    Attributes:
        asked: the time in which the rollout waited for people; of no length where it did not.
        planned: seconds.
        everything: seconds of the rollout from its start to its end, without people's time.
    """

    works: Sequence[Span]
    steps: Sequence[Span]
    asked: Span
    planned: float
    everything: float

    @property
    def whole(self) -> Span:
        """From the first change to the last completion, or to the end of the last watch."""
        ends = [*self.works, *(each for each in self.steps if each.kind == WATCH)]
        return Span(min(each.begun for each in self.works), max(each.ended for each in ends))

    @property
    def took(self) -> float:
        """Seconds of the whole, without people's time."""
        return self.whole.seconds - self.asked.seconds

    @property
    def own(self) -> float:
        """Seconds that the cluster needed, and the plan."""
        return self.planned + sum(max(each.seconds for each in group) for group in together(self.works))

    def lost(self) -> dict[str, float]:
        """Seconds beyond the own time, by the kind of step that ran meanwhile or was to begin."""
        found: dict[str, float] = defaultdict(float)
        for group in together(self.works):
            found[STAGGERED] += _length(group) - max(each.seconds for each in group)
        spans = [*self.works, *self.steps, self.asked]
        edges = sorted({edge for each in spans for edge in (each.begun, each.ended)})
        for begun, ended in pairwise(edges):
            if self.whole.has(begun) and not any(each.has(begun) for each in (*self.works, self.asked)):
                found[self._kind_at(begun)] += ended - begun
        found[WATCH] -= self.planned
        return {kind: seconds for kind, seconds in found.items() if seconds > 0}

    def _kind_at(self, moment: float) -> str:
        running = [each for each in self.steps if each.has(moment)]
        if running:
            return min(running, key=lambda each: each.begun).kind
        to_come = [each for each in self.steps if each.begun > moment]
        return f"before {min(to_come, key=lambda each: each.begun).kind}" if to_come else "at the end"


def together(works: Sequence[Span]) -> list[list[Span]]:
    """Works in groups: what overlaps is in one."""
    groups: list[list[Span]] = []
    for each in sorted(works, key=lambda each: each.begun):
        if groups and each.begun < max(other.ended for other in groups[-1]):
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _length(group: Sequence[Span]) -> float:
    return max(each.ended for each in group) - min(each.begun for each in group)


@contextmanager
def watching(portal: Portal, namespace: str) -> Iterator[Watched]:
    """Follow the workloads and Jobs of a namespace; what was seen is complete when the block has ended."""
    watched, lines = Watched(), list[Lines]()
    with ExitStack() as stack:
        for plural, fields in WATCHED.items():
            words = ("get", plural, "-w", "-o", f"jsonpath={fields}")
            lines.append(stack.enter_context(kubectl_lines(portal, namespace, *words)))
        yield watched
        time.sleep(LATE_LINES_SECONDS)
    for at, line in sorted(each for some in lines for each in some):
        watched.see(at, line)
