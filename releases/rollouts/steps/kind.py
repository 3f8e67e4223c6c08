"""What every kind of step can do: say what it will change, act once, and look at what became of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from portal.errors import PermanentError
from portal.integrations.kubernetes.client import Cluster, connect
from portal.integrations.kubernetes.workloads import (
    PLURALS,
    ROLLOUT_ANNOTATION,
    STEP_ANNOTATION,
    Reference,
    Workload,
    with_holder,
)
from portal.masking import masked
from portal.outbox.post import Letter
from portal.sentences import with_words
from releases.catalog.models import Environment
from releases.models import Item, Release
from releases.rollouts.models import Rollout, Step

Json = dict[str, Any]


class Verdict(StrEnum):
    """What a look at a step came to: failed is measured bad, errored could not be measured."""

    WAIT = "wait"
    DONE = "done"
    FAILED = "failed"
    ERRORED = "errored"
    INCONCLUSIVE = "inconclusive"
    HOLD = "hold"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a look at a step came to.

    Attributes:
        observed: {"code", "args"?, "ready"?, "wanted"?, …}: what was seen, worded by `texts`.
        failure: {"code", "message"?, "pod"?, "container"?, "exit_code"?, "log"?, "events"?, "args"?}.
        hold: {"reason", "args"}: why the rollout must wait for a person.
        wake_seconds: when to look again if nothing changes meanwhile.
        before: what was recorded for the way back.
        verdict_found: what verification found, kept with the rollout.
        messages: what leaves with this outcome or not at all.
        resolved: parameters of other steps that are known from now on.
    """

    verdict: Verdict
    observed: Json = field(default_factory=dict)
    failure: Json | None = None
    hold: Json | None = None
    wake_seconds: float = 1.0
    before: Json | None = None
    verdict_found: Json | None = None
    messages: Sequence[Letter] = ()
    resolved: Sequence[tuple[Step, Json]] = ()


@dataclass(frozen=True, kw_only=True)
class Change:
    """A write that is ready to be sent: what it changes, for people, and what `act` needs to send it."""

    changes: list[Json]
    payload: Any = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """The write was made already, by an earlier start of the same step, or needs not be made at all."""

    acted: Json
    observed: Json


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a step would change, shown before it does: [{"object", "field", "before", "after"}].

    `notes` are no errors, but worth knowing: [{"code", "args"}].
    """

    changes: list[Json] = field(default_factory=list)
    error: Json | None = None
    notes: list[Json] = field(default_factory=list)


def no_beat() -> None:
    """Nobody holds a lease while a plan is only previewed, or a gate measured."""


@dataclass(kw_only=True)
class Work:
    """A step with all it concerns; `rollout` is None while a plan is only previewed.

    `listed` is shared by the steps that are looked at together, which are `many` where one question for all
    is cheaper than one for each. What takes longer than a call calls `beat` about once a second: it keeps the
    lease, and raises where another worker has taken over.
    """

    step: Step
    release: Release
    environment: Environment
    items: Iterable[Item]
    rollout: Rollout | None = None
    siblings: Sequence[Step] = ()
    listed: dict[str, list[Json]] = field(default_factory=dict)
    many: bool = False
    beat: Callable[[], None] = no_beat

    def collection(self, plural: str, *, fields: str = "") -> list[Json]:
        """Return all of a kind in the namespace, read once for all steps of the same look round.

        Args:
            fields: a field selector that cuts it.
        """
        name = f"{plural}?{fields}" if fields else plural
        if name not in self.listed:
            self.listed[name] = self.cluster.find(plural, self.environment.namespace, fields=fields).items
        return self.listed[name]

    def know(self, plural: str, body: Json) -> None:
        """Take what a write was answered for what was read: the next step of this look round rests on it."""
        uid = body["metadata"]["uid"]
        for number, each in enumerate(self.listed.get(plural, [])):
            if each["metadata"]["uid"] == uid:
                self.listed[plural][number] = body

    def listed_workload(self, reference: Reference) -> Workload:
        """Return a workload from its collection, where many are read together.

        Raises:
            PermanentError: with code "missing" when it does not exist.
        """
        found = self.workloads(reference.kind)
        return next((each for each in found if each.reference == reference), None) or self.cluster.workload(
            reference
        )

    def workloads(self, kind: str) -> list[Workload]:
        """Return all workloads of a kind in the namespace, read once for all steps of the same look round."""
        bodies = self.collection(PLURALS[kind])
        if any((body["spec"].get("workloadRef") or {}).get("name") for body in bodies):
            held = self.collection(PLURALS["Deployment"])
            bodies = [with_holder(body, held) for body in bodies]
        return [Workload({**body, "kind": kind}) for body in bodies]

    @property
    def cluster(self) -> Cluster:
        """The cluster of the environment."""
        return connect(self.environment.cluster.spec)

    @property
    def item(self) -> Item | None:
        """The release's item of this step's service."""
        return next((item for item in self.items if item.service_id == self.step.service_id), None)

    @property
    def workload(self) -> Reference:
        """The workload this step is about.

        Raises:
            PermanentError: with code "colours_unknown" where it is a colour's, and nobody knows yet which.
        """
        document = self.step.params.get("workload")
        if document is None:
            raise PermanentError(code="colours_unknown")
        return Reference(document.get("kind", "Deployment"), self.environment.namespace, document["name"])

    @property
    def mark(self) -> dict[str, str]:
        """The annotations by which a second start finds the first one's work."""
        rollout = self.rollout.pk if self.rollout else 0
        return {
            ROLLOUT_ANNOTATION: str(rollout),
            STEP_ANNOTATION: f"{rollout}.{self.step.key}.{self.step.attempt}",
        }

    @property
    def accepted_drifts(self) -> list[Json]:
        """Foreign changes that a person has let pass."""
        return [drift for each in self.siblings for drift in each.params.get("accepted_drifts") or []]

    def sibling(self, kind: str, *, direction: str = "") -> Step | None:
        """Return the step of another kind for the same workload, the newest first."""
        found = [
            each
            for each in self.siblings
            if each.kind == kind
            and each.service_id == self.step.service_id
            and each.params.get("workload") == self.step.params.get("workload")
            and (not direction or each.direction == direction)
        ]
        return found[-1] if found else None

    def writes(self, *, direction: str = "forward") -> list[Json]:
        """Return what this rollout wrote to this step's workload, the newest last."""
        return [
            written
            for each in self.siblings
            if each.direction == direction and each.service_id == self.step.service_id
            for written in [written_to(each, self.step.params.get("workload"))]
            if written is not None and "spec" in written
        ]

    def own_spec(self, *, direction: str = "forward") -> Json | None:
        """Return the spec of this step's workload as this rollout last wrote it; None where it has not."""
        written = self.writes(direction=direction)
        return written[-1]["spec"] if written else None


def written_to(step: Step, workload: Json | None) -> Json | None:
    """Return what a step wrote to a workload; what Helm writes goes to several at once."""
    acted = step.acted or {}
    if "workloads" in acted:
        found: Json | None = (
            acted["workloads"].get(f"{workload['kind']}/{workload['name']}") if workload else None
        )
        return found
    return acted if acted and step.params.get("workload") == workload else None


class StepKind(ABC):
    """A kind of step that looks."""

    name: ClassVar[str]
    acts: ClassVar[bool] = False
    # Whether one look says how things stand, so that it is measured on while people decide.
    measures: ClassVar[bool] = False
    # Whether a watch tells as soon as there is something new to see.
    is_told: ClassVar[bool] = False
    # Whether what it has done is not to be done again unless a person asks for just that.
    once: ClassVar[bool] = False
    # Whether it reckons with the steps to come, so that it is to know them before there are any.
    reckons: ClassVar[bool] = False

    def plan(self, work: Work) -> Planned:  # noqa: ARG002  part of the contract
        """Say what the step would change, by a dry run where it writes."""
        return Planned()

    @abstractmethod
    def observe(self, work: Work) -> Outcome:
        """Look at what became of it."""

    def measure(self, work: Work) -> Outcome:
        """Look once, whatever was seen before, where the kind measures."""
        return self.observe(work)


class ActingKind(StepKind):
    """A kind of step that changes something outside, once, and then looks."""

    acts = True

    @abstractmethod
    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Read what the write rests on; no write yet."""

    @abstractmethod
    def act(self, work: Work, change: Change) -> Json:
        """Send the write and return what to remember of it: {"spec", "images", "generation", …}."""


def with_earlier(earlier: Iterable[Json], changes: list[Json]) -> list[Json]:
    """Return the changes of a write that is tried anew with those of the try before that it leaves out.

    A write of several objects may have met a conflict half-way: what is not to be changed any more was.
    """
    anew = {(each["object"], each["field"]) for each in changes}
    return [*(each for each in earlier if (each["object"], each["field"]) not in anew), *changes]


def done(code: str = "done", **args: Any) -> Outcome:
    """The step has reached what it is for."""
    return Outcome(verdict=Verdict.DONE, observed={"code": code, **args})


def wait(code: str, *, seconds: float = 1.0, **args: Any) -> Outcome:
    """Not yet; look again after `seconds` at the latest."""
    return Outcome(verdict=Verdict.WAIT, observed={"code": code, **args}, wake_seconds=seconds)


def failed(code: str, message: str | Json = "", **more: Any) -> Outcome:
    """Measured bad; `message` are the outside system's own words, kept without what looks like a secret.

    Args:
        message: these words, or a kept sentence that holds them (`portal.sentences`).
    """
    failure = {"code": code, "message": with_words(message, masked), **more}
    return Outcome(verdict=Verdict.FAILED, failure=failure)


def hold(reason: str, **args: Any) -> Outcome:
    """A person must look first."""
    return Outcome(verdict=Verdict.HOLD, hold={"reason": reason, "args": args})
