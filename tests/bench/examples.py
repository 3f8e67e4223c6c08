"""The reference systems as their examples ship, with the least waiting that the catalog allows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from releases.catalog import watches
from tests.bench.portal import ROOT

Json = dict[str, Any]
EXAMPLES = ROOT / "deploy" / "examples"
UNDER_HELM = ROOT / "deploy" / "examples-helm"
# What a plan watches it watches for a second at least; the other waits may be none at all.
WATCH_SECONDS = 1
LEAST = {"settleSeconds": 0, "stableSeconds": 0}
AROUND = ("before", "after", "steps")
SENIOR = "jonghyun"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A reference system, and who of the demo's people releases it.

    Attributes:
        folder: where its documents are.
        versions: by service; the rounds take one after the other, and again from the first.
        approvers: asked until the release is approved, and for its sign-off.
    """

    name: str
    folder: Path
    environment: str
    namespace: str
    plan: str
    manager: str
    approvers: Sequence[str]
    versions: Mapping[str, Sequence[str]]

    def of_round(self, number: int) -> dict[str, str]:
        """The versions of a round."""
        return {name: tags[number % len(tags)] for name, tags in self.versions.items()}

    @property
    def waits(self) -> int:
        """Seconds that the plan waits as it ships."""
        return waited_seconds(self._plan["spec"])

    @property
    def waits_least(self) -> int:
        """Seconds that it waits here."""
        return waited_seconds(least_waiting(self._plan["spec"]))

    @property
    def _plan(self) -> Json:
        found = (each for each in self._shipped() if each["metadata"]["name"] == self.plan)
        return next(each for each in found if each["kind"] == "Plan")

    def _shipped(self) -> Iterator[Json]:
        yield from yaml.safe_load_all((self.folder / "catalog.yaml").read_text())

    def documents(self) -> Iterator[Json]:
        """The plan with the least waiting, an environment that no other comes before, and what Helm owns."""
        for each in self._shipped():
            name = each["metadata"]["name"]
            if (each["kind"], name) == ("Plan", self.plan):
                yield {**each, "spec": least_waiting(each["spec"])}
            elif (each["kind"], name) == ("Environment", self.environment):
                yield {**each, "spec": {key: value for key, value in each["spec"].items() if key != "after"}}
            elif each["kind"] == "Service" and "helm" in each["spec"]:
                yield each


def least_waiting(found: Any) -> Any:
    """A plan, or a part of one, that waits as little as the catalog allows."""
    if isinstance(found, list):
        return [least_waiting(each) for each in found]
    if not isinstance(found, dict):
        return found
    own = {key: LEAST.get(key, least_waiting(value)) for key, value in found.items()}
    if "minutes" in own or own.get("kind") == "watch":
        own = {key: value for key, value in own.items() if key != "minutes"} | {"seconds": WATCH_SECONDS}
    return own


def waited_seconds(plan: Mapping[str, Any]) -> int:
    """How long a plan waits from its first wave on, where all its services are released."""
    stages = [*plan["waves"], *plan.get("switch", ())]
    around = [each for stage in stages for part in AROUND for each in stage.get(part, ())]
    settling: int = sum(each.get("settleSeconds", 0) for each in plan["each"]) * len(plan["waves"])
    canary = plan.get("canary", {"steps": (), "watch": {}})
    watching = len(canary["steps"]) * watches.watched_seconds(canary["watch"])
    return settling + watching + sum(map(_waited, around))


def _waited(step: Mapping[str, Any]) -> int:
    """How long a step around the members of a wave waits; of several sizes each is checked."""
    sizes = step.get("replicas")
    stable: int = sum(each.get("stableSeconds", 0) for each in step.get("checks", ()))
    return watches.watched_seconds(step) + stable * (len(sizes) if isinstance(sizes, list) else 1)


RUNBOOK = Example(
    name="runbook-api",
    folder=EXAMPLES / "runbook-api",
    environment="runbook-api-production",
    namespace="runbook-production",
    plan="runbook-api-production",
    manager="gaeun",
    approvers=("kyungsoo", "arin", SENIOR),
    versions={"runbook-api": ("1.5.0", "1.4.2")},
)
CANARY = Example(
    name="StoreBridge, canary",
    folder=EXAMPLES / "storebridge",
    environment="storebridge-production",
    namespace="storebridge-production",
    plan="storebridge-production-canary",
    manager="seunghyun",
    approvers=("eunji", "hyunwoo", "soyul", SENIOR),
    versions={
        "storebridge-web": ("v2.6.0", "v2.5.1"),
        "storebridge-worker-normal": ("v2.6.0", "v2.5.1"),
        "storebridge-worker-batch": ("v2.6.0", "v2.5.1"),
    },
)
BLUE_GREEN = replace(
    CANARY,
    name="StoreBridge, blue-green",
    environment="storebridge-staging",
    namespace="storebridge-staging",
    plan="storebridge-staging-blue-green",
    # Two colours and three versions: each time the colour is given another one than it had.
    versions={"storebridge-front": ("v2.6.0", "v2.5.1", "v2.6.0-rc.1")},
)
KOP = Example(
    name="kop",
    folder=EXAMPLES / "kop",
    environment="kop-production",
    namespace="kop-production",
    plan="kop-production",
    manager="rian",
    approvers=("jinho", "mikyung", "donghae", "sangwoo", "soomin", "yujin", SENIOR),
    versions={
        "hybris": ("deploy-2026-01-08", "deploy-2025-12-18", "deploy-2026-01-06"),
        "cms-internal": ("6e27011f", "5f1c20aa"),
        "cms-public": ("6e27011f", "5f1c20aa"),
        "kop-web": ("a7ed4db1", "9be0c4f2"),
    },
)
PLATE = Example(
    name="plate",
    folder=EXAMPLES / "plate",
    environment="plate-production",
    namespace="plate-prod",
    plan="plate-production",
    manager="harin",
    approvers=("insung", "wonbin", "sohee", SENIOR),
    versions={
        "plate-cache": ("7.4.2", "7.4.1"),
        "plate-api": ("1.9.0", "1.8.2"),
        "plate-llm": ("0.10.0", "0.9.3"),
        "plate-web": ("1.26.0", "1.25.1"),
    },
)
PLATE_UNDER_HELM = replace(PLATE, name="plate under Helm", folder=UNDER_HELM / "plate")
