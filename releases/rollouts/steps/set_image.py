"""The act itself: pinned images into named containers, only if nobody else wrote since."""

from portal.errors import PermanentError
from portal.integrations.kubernetes.errors import MISSING
from portal.integrations.kubernetes.rollout_status import DEADLINE_EXCEEDED, condition
from portal.integrations.kubernetes.workloads import (
    PLURALS,
    ROLLOUT_ANNOTATION,
    STEP_ANNOTATION,
    Workload,
)
from releases.rollouts.drift import Drift, deleted, find_drift
from releases.rollouts.images import target_image
from releases.rollouts.steps import canaries, git_owned, holds
from releases.rollouts.steps.kind import (
    ActingKind,
    Change,
    Found,
    Json,
    Outcome,
    Planned,
    Work,
    done,
    failed,
    hold,
)


class SetImage(ActingKind):
    """Sets the image of the service's containers; never the replica count, never under Argo CD."""

    name = "set_image"

    def plan(self, work: Work) -> Planned:
        """Let the server check the patch without keeping it."""
        seen = work.cluster.workload(work.workload)
        images = wanted_images(work, seen)
        refusal = refused(work, seen)
        if refusal is not None:
            return Planned(error=refusal.failure)
        work.cluster.set_images(seen, images, annotations=work.mark, dry_run=True)
        return Planned(changes=image_changes(seen, images))

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Find the earlier start's work, refuse what Argo CD owns, hold on foreign changes.

        The members of a wave are read together: what changes after that makes the write a conflict.
        """
        seen = listed_or_held(work)
        if isinstance(seen, Outcome):
            return seen
        images = wanted_images(work, seen)
        if _same(seen, images) and seen.annotations.get(STEP_ANNOTATION) == work.mark[STEP_ANNOTATION]:
            return Found(acted=remembered(seen, images), observed={"code": "image_set", "images": images})
        refusal = refused(work, seen)
        if refusal is not None:
            return refusal
        drift = self._drift(work, seen)
        if drift is not None:
            return hold("drift", **drift.args)
        return Change(changes=image_changes(seen, images), payload=(seen, images))

    def act(self, work: Work, change: Change) -> Json:
        """Send one patch."""
        seen, images = change.payload
        written = work.cluster.set_images(seen, images, annotations=work.mark)
        work.know(PLURALS[written.written.kind], written.holder or written.raw)
        return remembered(written, images)

    def observe(self, work: Work) -> Outcome:
        """The server's answer said it: done."""
        return done("image_set", images=(work.step.acted or {}).get("images", {}))

    def _drift(self, work: Work, seen: Workload) -> Drift | None:
        expected = expected_spec(work)
        if expected is None:
            return None
        spec, uid, scaled = expected
        if (
            _same(seen, wanted_images(work, seen))
            and seen.annotations.get(ROLLOUT_ANNOTATION) == work.mark[ROLLOUT_ANNOTATION]
        ):
            return None  # an earlier attempt of this very step
        return find_drift(seen, spec, uid=uid, scaled_by_others=scaled, accepted=work.accepted_drifts)


def refused(work: Work, seen: Workload) -> Outcome | None:
    """Why the image of a workload may not be set now: another owns it, or another update is on its way."""
    if seen.helm_release:
        return failed("helm_managed", seen.helm_release)
    if not seen.rolls:
        return failed("strategy_not_rolling", "OnDelete")
    return git_owned.refused(work, seen) or canaries.under_way(work, seen) or holds.refused(seen)


def expected_spec(work: Work) -> tuple[Json, str, bool] | None:
    """Return (spec, uid, scaled by an autoscaler) as last written by us, else as recorded."""
    record = work.sibling("record_running")
    if record is None or not record.before:
        return None
    spec = work.own_spec() or record.before["spec"]
    return spec, record.before["uid"], record.before.get("autoscaler") is not None


def wanted_images(work: Work, seen: Workload) -> dict[str, str]:
    """Return the image each named container shall have.

    Raises:
        PermanentError: no name is written down and the workload has several containers.
    """
    item = work.item
    if item is None:
        raise PermanentError(code="no_item")
    names = work.step.params["workload"].get("containers") or []
    if not names:
        names = [each["name"] for each in seen.template["spec"]["containers"]]
        if len(names) > 1:
            raise PermanentError(", ".join(names), code="containers_unnamed")
    return {name: target_image(item) for name in names}


def image_changes(seen: Workload, images: dict[str, str]) -> list[Json]:
    """Return what differs, for people."""
    return [
        {
            "object": str(seen.reference),
            "field": f"image[{name}]",
            "before": seen.images.get(name),
            "after": image,
        }
        for name, image in images.items()
    ]


def remembered(workload: Workload, images: dict[str, str]) -> Json:
    """Return what later steps compare the cluster with."""
    progressing = condition(workload.raw.get("status") or {}, "Progressing")
    stale = progressing.get("lastUpdateTime") if progressing.get("reason") == DEADLINE_EXCEEDED else None
    return {
        "images": images,
        # What stands paused when it is found was paused after it was written.
        "spec": {key: value for key, value in workload.spec.items() if key != "paused"},
        "uid": workload.uid,
        "generation": workload.generation,
        "resource_version": workload.resource_version,
        "stale_deadline": stale,
    }


def read_or_none(work: Work) -> Workload | None:
    """Return the workload as it is now, or None when it is gone."""
    try:
        return (work.listed_workload if work.many else work.cluster.workload)(work.workload)
    except PermanentError as error:
        if error.code == MISSING:
            return None
        raise


def listed_or_held(work: Work) -> Workload | Outcome:
    """Return the workload, read together with others of its kind, or a hold where somebody has deleted it."""
    try:
        return work.listed_workload(work.workload)
    except PermanentError as error:
        if error.code != MISSING:
            raise
        return hold("drift", **deleted(str(work.workload)).args)


def _same(seen: Workload, images: dict[str, str]) -> bool:
    return all(seen.images.get(name) == image for name, image in images.items())
