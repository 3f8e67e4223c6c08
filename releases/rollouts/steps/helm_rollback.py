"""The way back under Helm: a new revision with what an earlier one wrote, over this rollout's only."""

from dataclasses import dataclass

from portal.integrations.helm import manifests
from portal.integrations.helm.client import PENDING, Helm, Revision
from releases.rollouts.steps import helm as under
from releases.rollouts.steps.kind import ActingKind, Change, Found, Json, Outcome, Work, done, failed


@dataclass(frozen=True)
class Back:
    """A way back that is ready to be sent; `sent` is the revision in which an earlier start has done so."""

    target: int
    sent: int = 0


class HelmRollback(ActingKind):
    """Undoes a helm_upgrade step; also what one that was killed or failed has left half-way."""

    name = "helm_rollback"

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Compare the newest revision with the one to go back to, and with what this rollout wrote."""
        target = _target(work)
        if not target:
            return failed("helm_none_before")
        helm, release = under.helm_of(work), under.release_of(work)
        history = helm.history(release)
        newest = history[-1] if history else None
        if newest is None:
            return under.foreign(work, helm, None, ours=False) or failed("nothing_recorded")
        returned = newest.description == f"Rollback to {target}"
        held = under.held(work)
        if newest.status == "deployed" and (newest.number == target or returned):
            if held:
                return Change(changes=held, payload=Back(target, sent=newest.number))
            acted = under.remembered_release(work, revision=newest.number, previous=target)
            return Found(acted=acted, observed=_said(newest.number, target))
        refused = self._held(work, helm, newest, ours=returned or _broke_off(work, newest))
        return refused or _change(helm, release, history, target, held=held)

    def _held(self, work: Work, helm: Helm, newest: Revision, *, ours: bool) -> Outcome | None:
        ours = ours or helm.is_marked(under.release_of(work), under.rollout_mark(work))
        if not newest.is_pending:
            return under.foreign(work, helm, newest, ours=ours)
        if not ours:
            return failed(PENDING, args={"revision": newest.number, "status": newest.status})
        return under.pending(work, newest)

    def act(self, work: Work, change: Change) -> Json:
        """Let helm write what the earlier revision wrote."""
        back: Back = change.payload
        helm, release = under.helm_of(work), under.release_of(work)
        if not back.sent:
            helm.rollback(release, revision=back.target, seconds=under.HOOK_SECONDS)
        under.let_go(work)
        newest = back.sent or helm.history(release)[-1].number
        return under.remembered_release(work, revision=newest, previous=back.target)

    def observe(self, work: Work) -> Outcome:
        """Helm's answer said it: done."""
        acted = work.step.acted or {}
        return done(**_said(acted["revision"], acted["previous"]))


def _broke_off(work: Work, newest: Revision) -> bool:
    """Whether the newest revision is what an earlier attempt came to: helm gives it no mark of ours."""
    words = f'Rollback "{under.release_of(work)}" failed'
    return work.step.intent is not None and newest.status == "failed" and newest.description.startswith(words)


def _target(work: Work) -> int:
    """The revision that had gone out when it was recorded, else the last before this rollout's own."""
    backup = under.backup_of(work)
    if backup is not None:
        return int(backup.get("return_to") or 0)
    forward = under.same_service(work, "helm_upgrade")
    return int(((forward.acted if forward else None) or {}).get("previous") or 0)


def _change(helm: Helm, release: str, history: list[Revision], target: int, *, held: list[Json]) -> Change:
    now = manifests.objects(helm.manifest(release, revision=history[-1].number))
    then = manifests.objects(helm.manifest(release, revision=target))
    changes = [*under.changes_of(release, manifests.differences(now, then)), *held]
    return Change(changes=changes, payload=Back(target))


def _said(revision: int, target: int) -> Json:
    return {"code": "helm_rolled_back", "args": {"revision": revision, "target": target}}
