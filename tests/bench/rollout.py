"""portal-universe's rollout against the cluster's own time and against a shell script in the same order."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.bench.kubectl import kubectl_lines
from tests.bench.portal import SYSTEM, WAVES, Portal, running_portal
from tests.bench.row import Row

ROUNDS = 3
VERSIONS = ("v1.4.0", "v1.4.1")
STATUS = (
    "{.metadata.name},{.metadata.generation},{.status.observedGeneration},{.spec.replicas},"
    '{.status.updatedReplicas},{.status.replicas},{.status.availableReplicas}{"\\n"}'
)
SERVICES = [service for wave in WAVES for service in wave]


@dataclass
class Watched:
    """When each Deployment was seen to change and when to be complete, as kubectl reported it."""

    changed: dict[str, float] = field(default_factory=dict)
    complete: dict[str, float] = field(default_factory=dict)
    _generations: dict[str, str] = field(default_factory=dict)

    def see(self, at: float, line: str) -> None:
        """Take one line of kubectl."""
        name, generation, observed, *counts = line.split(",")
        if self._generations.setdefault(name, generation) != generation:
            self._generations[name] = generation
            self.changed.setdefault(name, at)
        if name in self.changed and observed == generation and len(set(counts)) == 1:
            self.complete.setdefault(name, at)

    def own_time(self) -> float:
        """The sum over the waves of the slowest member, from its change to its completion."""
        return sum(max(self.complete[name] - self.changed[name] for name in wave) for wave in WAVES)

    def span(self) -> float:
        """From the first change to the last completion."""
        return max(self.complete.values()) - min(self.changed.values())


def run() -> list[Row]:
    """Portal and script in turn on the same cluster, each time to the other version."""
    ours: list[Watched] = []
    scripts: list[Watched] = []
    whole: list[float] = []
    script_whole: list[float] = []
    with running_portal() as portal:
        _portal(portal, VERSIONS[0])  # the first round pulls images; it is not counted
        for _round in range(ROUNDS):
            watched, seconds = _timed(portal, _script, VERSIONS[1])
            scripts.append(watched)
            script_whole.append(seconds)
            watched, seconds = _timed(portal, _portal, VERSIONS[0])
            ours.append(watched)
            whole.append(seconds)
    own = [each.own_time() for each in ours]
    return [
        Row.of("cluster's own time, sum over waves of the slowest", own, "s"),
        Row.of("portal, first change to last Deployment complete", [each.span() for each in ours], "s"),
        Row.of("script, first change to last Deployment complete", [each.span() for each in scripts], "s"),
        Row.of(
            "portal / cluster's own time in the same rollout",
            [each.span() / each.own_time() for each in ours],
            "ratio",
            target=1.05,
        ),
        Row.of(
            "portal / script, first change to last complete",
            [one.span() / other.span() for one, other in zip(ours, scripts, strict=True)],
            "ratio",
            target=1.0,
        ),
        Row.of("portal from start to verified (records, health, digests as well)", whole, "s"),
        Row.of("script as a whole", script_whole, "s"),
    ]


def _timed(portal: Portal, do: Callable[[Portal, str], float], version: str) -> tuple[Watched, float]:
    with watching(portal) as watched:
        seconds = do(portal, version)
        time.sleep(0.5)  # the last lines are on their way
    return watched, seconds


def _portal(portal: Portal, version: str) -> float:
    number = portal.approved_release(dict.fromkeys(SERVICES, version))
    begun = time.monotonic()
    rollout = portal.roll_out(number)
    if rollout["state"] != "succeeded":
        raise RuntimeError(f"the rollout ended {rollout['state']}: {portal.events(rollout['id'])[-5:]}")
    return time.monotonic() - begun


def _script(portal: Portal, version: str) -> float:
    lines = ["set -e", f"export KUBECONFIG='{portal.kubeconfig}'"]
    for wave in WAVES:
        for name in wave:
            image = f"registry.practice/{SYSTEM}/{name}:{version}"
            lines.append(f"kubectl -n {SYSTEM} set image deployment/{name} '*={image}' >/dev/null")
        lines += [f"kubectl -n {SYSTEM} rollout status deployment/{name} >/dev/null" for name in wave]
    begun = time.monotonic()
    subprocess.run(["bash", "-c", "\n".join(lines)], check=True, timeout=600)
    return time.monotonic() - begun


@contextmanager
def watching(portal: Portal) -> Iterator[Watched]:
    """Follow the Deployments; what was seen is complete when the block has ended."""
    watched = Watched()
    with kubectl_lines(portal, SYSTEM, "get", "deployments", "-w", "-o", f"jsonpath={STATUS}") as lines:
        yield watched
    for at, line in lines:
        watched.see(at, line)
