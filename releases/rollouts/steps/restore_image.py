"""The way back: the recorded pod template as a whole, only over what this rollout wrote."""

from typing import ClassVar

from portal.integrations.kubernetes.workloads import ROLLOUT_ANNOTATION, STEP_ANNOTATION, Workload
from releases.rollouts.drift import find_drift
from releases.rollouts.steps import git_owned, holds
from releases.rollouts.steps.kind import ActingKind, Change, Found, Json, Outcome, Work, done, failed, hold
from releases.rollouts.steps.set_image import image_changes, listed_or_held, remembered


class RestoreImage(ActingKind):
    """Undoes a set_image step from what was recorded before it."""

    name = "restore_image"
    undoes: ClassVar[str] = "set_image"
    said: ClassVar[str] = "image_restored"

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Compare what is there with what was recorded and with what this rollout wrote."""
        record = work.sibling("record_running")
        if record is None or not record.before:
            return failed("nothing_recorded")
        seen = listed_or_held(work)
        if isinstance(seen, Outcome):
            return seen
        before = record.before
        template, images = before["spec"]["template"], before["images"]
        if seen.template == template and not seen.goes_on_with_template:
            return Found(acted=remembered(seen, images), observed={"code": self.said, "images": images})
        refused = git_owned.refused(work, seen) or self._foreign(work, seen, before)
        if refused is not None:
            return refused
        changes = [*self.changes(seen, before), *holds.lifted(seen)]
        return Change(changes=changes, payload=(seen, template, images))

    def changes(self, seen: Workload, before: Json) -> list[Json]:
        """What differs, for people."""
        images = before["images"].items()
        return image_changes(seen, {name: image for name, image in images if name in seen.images})

    def act(self, work: Work, change: Change) -> Json:
        """Send one patch."""
        seen, template, images = change.payload
        written = work.cluster.restore_template(seen, template, annotations=work.mark)
        return remembered(written, images)

    def observe(self, work: Work) -> Outcome:
        """The server's answer said it: done."""
        return done(self.said, images=(work.step.acted or {}).get("images", {}))

    def _foreign(self, work: Work, seen: Workload, before: Json) -> Outcome | None:
        if seen.annotations.get(STEP_ANNOTATION) == work.mark[STEP_ANNOTATION]:
            return None
        forward = work.sibling(self.undoes, direction="forward")
        acted = (forward.acted if forward else None) or {}
        # Where the act was never recorded, the mark on the object tells whether it is ours.
        own = (
            forward is not None and seen.annotations.get(ROLLOUT_ANNOTATION) == work.mark[ROLLOUT_ANNOTATION]
        )
        if not acted and own:
            return None
        spec = work.own_spec() or before["spec"]
        drift = find_drift(
            seen,
            spec,
            uid=before["uid"],
            scaled_by_others=before.get("autoscaler") is not None,
            accepted=work.accepted_drifts,
            of=("spec.template", "metadata"),  # a changed replica count is not ours to undo
        )
        return hold("drift", **drift.args) if drift is not None else None
