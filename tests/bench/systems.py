"""The rollouts of the other four reference systems against the cluster's own time, and where the rest goes.

On the practice cluster, by a whole portal, each once to warm up and then three times: runbook-api's
production, StoreBridge's canary and its two colours, kop from one colour to the other, plate by images and
under Helm 3. Every plan is the one that ships, with the least waiting that the catalog allows: no settling,
views that count at once, and each watch for one second, which counts as own time (own_time.py says what else
does). Beside that stands what comes of it with the waits that ship, reckoned: they are added on both sides.
portal-universe is measured by `rollout`.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tests.bench import examples, places
from tests.bench.examples import Example
from tests.bench.own_time import Measured, Span, watching
from tests.bench.portal import ENDS, Portal, Refused, running_portal
from tests.bench.row import Row
from tests.cluster.helm import build

ROUNDS = 3
TARGET = 1.05
SHOWN = 5
SYSTEMS = (examples.RUNBOOK, examples.CANARY, examples.BLUE_GREEN, examples.KOP, examples.PLATE)
# Some of them by their names, such as "kop plate"; all without.
CHOSEN = os.environ.get("BENCH_SYSTEMS", "").split()
AWAITING = "awaiting_signoff"


def run() -> list[Row]:
    """Measure one system after the other; plate is given to Helm when it was measured without."""
    helm = _helm()
    variables = {"HELM_BINARY": str(helm), "HELM_CHARTS": str(examples.UNDER_HELM)} if helm else {}
    rows = []
    with running_portal(**variables) as portal:
        for system in SYSTEMS:
            if not CHOSEN or system.folder.name in CHOSEN:
                rows += _rows(system, _measure(portal, system))
                if system is examples.PLATE:
                    rows += _under_helm(portal, helm)
    return rows


def _measure(portal: Portal, system: Example) -> list[Measured]:
    places.load(portal, system.documents())
    measured = [_roll_out(portal, system, number) for number in range(ROUNDS + 1)]
    return measured[1:]  # the first one pulls images


def _rows(system: Example, rounds: Sequence[Measured]) -> list[Row]:
    lost: dict[str, list[float]] = defaultdict(list)
    for each in rounds:
        for kind, seconds in each.lost().items():
            lost[kind].append(seconds)
    whole = {kind: sum(seconds) / len(rounds) for kind, seconds in lost.items()}
    most = sorted(whole, key=lambda kind: -whole[kind])[:SHOWN]
    ratios = [each.took / each.own for each in rounds]
    more = system.waits - system.waits_least
    shipped = [(each.took + more) / (each.own + more) for each in rounds]
    name = system.name
    return [
        Row.of(f"{name}: the cluster's own time, with what the plan waits", [e.own for e in rounds], "s"),
        Row.of(f"{name}: first change to last complete", [each.took for each in rounds], "s"),
        Row.of(f"{name}: portal / cluster's own time", ratios, "ratio", target=TARGET),
        Row.of(f"{name}: that ratio with the waits that ship (+ {more} s)", shipped, "ratio", target=TARGET),
        Row.of(f"{name}: the whole, with checks before and after", [e.everything for e in rounds], "s"),
        *(Row(f"{name}: lost meanwhile, {kind}", whole[kind], "s") for kind in most),
    ]


def _roll_out(portal: Portal, system: Example, number: int) -> Measured:
    by = system.manager
    release = portal.approved_release(
        system.of_round(number),
        environment=system.environment,
        plan=system.plan,
        by=by,
        approvers=system.approvers,
    )
    with watching(portal, system.namespace) as watched:
        begun = time.time()
        rollout = portal.start(release, by=by)
        found = portal.wait(rollout, {*ENDS, AWAITING}, by=by)
        asked = Span(0.0, 0.0)
        if found["state"] == AWAITING:
            asked = _sign_off(portal, system, release, rollout)
            found = portal.wait(rollout, ENDS, by=by)
        if found["state"] != "succeeded":
            raise RuntimeError(f"{system.name} ended {found['state']}: {portal.events(rollout, by=by)[-5:]}")
    steps = _steps(portal, rollout, by=by)
    return Measured(
        works=watched.after(begun),
        steps=steps,
        asked=asked,
        planned=system.waits_least,
        everything=_at(found["ended_at"]) - _at(found["started_at"]) - asked.seconds,
    )


def _sign_off(portal: Portal, system: Example, release: int, rollout: int) -> Span:
    """Let everybody who is asked agree to the result; return how long the rollout waited for it."""
    events = portal.events(rollout, by=system.manager)
    since = next(_at(each["at"]) for each in events if each["kind"] == f"rollout.{AWAITING}")
    portal.answer(release, "during", by=system.manager)
    body = {"verdict": "approve", "reason": "", "for": None}
    for who in system.approvers:
        until = time.time()
        with suppress(Refused):  # not everybody is asked for every release
            portal.call(who, "POST", f"/rollouts/{rollout}/signoff", body)
            asked = portal.call(system.manager, "GET", f"/releases/{release}")["requirements"]
            if all(each["met"] for each in asked if each["phase"] == "signoff"):
                return Span(since, until)
    raise RuntimeError(f"nobody could sign off {system.name}")


def _steps(portal: Portal, rollout: int, *, by: str) -> list[Span]:
    listed = portal.call(by, "GET", f"/rollouts/{rollout}/steps")["items"]
    return [
        Span(_at(each["started_at"]), _at(each["ended_at"]), each["kind"])
        for each in listed
        if each["started_at"] and each["ended_at"]
    ]


def _at(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _helm() -> Path | None:
    """The helm program of the tests, built where it is missing; None where it cannot be had."""
    try:
        return build.ensure("v3")
    except build.BuildError as error:
        print(error, file=sys.stderr)
        return None


def _under_helm(portal: Portal, helm: Path | None) -> list[Row]:
    if helm is None:
        return [Row("plate under Helm: left out, there is no helm here", 0.0, "s")]
    for chart in examples.PLATE_UNDER_HELM.versions:
        _take_over(portal, helm, chart)
    return _rows(examples.PLATE_UNDER_HELM, _measure(portal, examples.PLATE_UNDER_HELM))


def _take_over(portal: Portal, helm: Path, name: str) -> None:
    """What runs becomes Helm's, with the image that it has, as docs/helm.md says."""
    namespace, kubeconfig = examples.PLATE.namespace, ("--kubeconfig", portal.kubeconfig)
    image = "jsonpath={.items[0].spec.template.spec.containers[0].image}"
    label = f"app.kubernetes.io/name={name}"
    words = ("-n", namespace, "get", "deployments,statefulsets", "-l", label, "-o", image)
    found = subprocess.run(
        ["kubectl", *kubeconfig, *words], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    tagged, _, digest = found.partition("@")
    repository = tagged.partition(":")[0]
    command = [str(helm), "upgrade", "--install", "--take-ownership", "--namespace", namespace, *kubeconfig]
    command += [name, str(examples.UNDER_HELM / "plate" / "charts" / name)]
    command += ["--set", f"image.repository={repository},image.digest={digest}"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
