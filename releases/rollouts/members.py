"""The services that take part in a rollout, as steps need to know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from releases.rollouts.tables import DEFAULT_WORKLOAD_KIND, HELM, RELEASING

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A service that takes part: its name and the part of its document that steps need."""

    name: str
    spec: Json = field(default_factory=dict, hash=False)

    @property
    def workloads(self) -> list[Json]:
        """The cluster objects it consists of; one Deployment of its own name where none is written down."""
        return self.spec.get("workloads") or [{"kind": DEFAULT_WORKLOAD_KIND, "name": self.name}]

    @property
    def canary(self) -> Json | None:
        """The two workloads of its canary, and the route that leads to them; None where it has none."""
        return self.spec.get("canary")

    @property
    def with_canary(self) -> list[Json]:
        """Its workloads and that of its canary, which is as the stable one but for its name."""
        own, pair = self.workloads, self.canary or {}
        if not pair or any(each["name"] == pair["canary"] for each in own):
            return own
        stable = next(each for each in own if each["name"] == pair["stable"])
        return [*own, {**stable, "name": pair["canary"]}]

    def workload(self, name: str) -> Json | None:
        """The workload of this name, the only one where none is named; None where that is not one."""
        found = [
            each for each in (self.with_canary if name else self.workloads) if name in {"", each["name"]}
        ]
        return found[0] if len(found) == 1 else None

    @property
    def colours(self) -> Json | None:
        """What the catalog says of its colours: {"label", "services"}; None where it has none."""
        return self.spec.get("colours")

    @property
    def workloads_by_colour(self) -> dict[str, Json]:
        """The workload of each colour."""
        return {each["colour"]: each for each in self.workloads if each.get("colour")}

    @property
    def helm(self) -> Json | None:
        """How Helm owns it; None where Helm does not."""
        found: Json | None = self.spec.get("helm")
        return found

    def concerns(self, kind: str) -> bool:
        """Whether a kind of step is for it: a service under Helm is changed by Helm alone."""
        return self.helm is not None if kind in HELM else kind not in RELEASING or self.helm is None

    def job(self, name: str) -> Json | None:
        """What the catalog says of a Job of this name; None where there is none."""
        return next((each for each in self.spec.get("jobs") or [] if each["name"] == name), None)
