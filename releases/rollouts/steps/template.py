"""What steps have in common that change a running workload's pods without another image."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from portal.integrations.kubernetes.workloads import ROLLOUT_ANNOTATION, STEP_ANNOTATION, Workload
from releases.rollouts.drift import Drift, find_drift
from releases.rollouts.steps import canaries, git_owned, holds
from releases.rollouts.steps.kind import (
    ActingKind,
    Change,
    Found,
    Json,
    Outcome,
    Planned,
    Work,
    failed,
    hold,
)
from releases.rollouts.steps.set_image import expected_spec, listed_or_held, remembered


class TemplateKind(ActingKind):
    """Merges something into the pod template, once, unless somebody else has changed the workload.

    `said` is the code of what is seen once it is written.
    """

    said: ClassVar[str]

    def plan(self, work: Work) -> Planned:
        """Let the server check the patch without keeping it."""
        seen = work.cluster.workload(work.workload)
        refused = _refusal(work, seen)
        if refused is not None:
            return Planned(error=refused.failure)
        self.write(work, seen, self.template(work, seen), dry_run=True)
        return Planned(changes=self.changes(work, seen))

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Find the earlier start's work by its mark, refuse what would not take effect, hold on drift."""
        seen = listed_or_held(work)
        if isinstance(seen, Outcome):
            return seen
        if self.marks(seen).get(STEP_ANNOTATION) == work.mark[STEP_ANNOTATION]:
            return Found(acted=remembered(seen, seen.images), observed={"code": self.said})
        refused = _refusal(work, seen)
        if refused is not None:
            return refused
        drift = _drift(work, seen, self.marks(seen))
        if drift is not None:
            return hold("drift", **drift.args)
        return Change(changes=self.changes(work, seen), payload=(seen, self.template(work, seen)))

    def act(self, work: Work, change: Change) -> Json:
        """Send one patch."""
        seen, template = change.payload
        written = self.write(work, seen, template)
        return remembered(written, written.images)

    def write(self, work: Work, seen: Workload, template: Json, *, dry_run: bool = False) -> Workload:
        """Merge it into the template where that stands, together with the mark."""
        return work.cluster.merge_template(seen, template, annotations=work.mark, dry_run=dry_run)

    def marks(self, seen: Workload) -> Mapping[str, str]:
        """The annotations of the object that is written."""
        return seen.annotations

    @abstractmethod
    def template(self, work: Work, seen: Workload) -> Json:
        """What is merged into the pod template."""

    @abstractmethod
    def changes(self, work: Work, seen: Workload) -> list[Json]:
        """What differs then, for people."""


def _refusal(work: Work, seen: Workload) -> Outcome | None:
    """Why new pods would not come, or would not last; None where they would (protocols.md, A3)."""
    refused = git_owned.refused(work, seen) or canaries.under_way(work, seen)
    if refused is not None:
        return refused
    if not seen.rolls:
        return failed("strategy_not_rolling", "OnDelete")
    return holds.refused_as_it_stands(work, seen)


def _drift(work: Work, seen: Workload, marks: Mapping[str, str]) -> Drift | None:
    expected = expected_spec(work)
    if expected is None:
        return None
    is_ours = marks.get(ROLLOUT_ANNOTATION) == work.mark[ROLLOUT_ANNOTATION]
    if is_ours and work.own_spec() is None:
        return None  # an earlier attempt of this very step
    spec, uid, scaled = expected
    return find_drift(seen, spec, uid=uid, scaled_by_others=scaled, accepted=work.accepted_drifts)
