"""The act under Helm: a new revision with the pinned image, written once and found again by its mark."""

from dataclasses import dataclass

from portal.integrations.helm import manifests
from portal.integrations.helm.client import FAILED, PENDING, Charted, Helm, Revision
from releases.rollouts.steps import helm as under
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
)


@dataclass(frozen=True)
class Ready:
    """An upgrade that is ready to be sent.

    Attributes:
        previous: the revision that a rollback goes back to.
        settle: a revision to go back to first, as a helm that was killed left the release half-way.
        sent: the revision that an earlier start has written, after which only what is held is let go.
        on_server: whether the server applies it, as the dry run said; None where none was made.
    """

    charted: Charted
    previous: int
    settle: int = 0
    sent: int = 0
    on_server: bool | None = None


class HelmUpgrade(ActingKind):
    """Sends an upgrade without waiting for pods; `wait_rollout` watches them."""

    name = "helm_upgrade"

    def plan(self, work: Work) -> Planned:
        """Show every field that the cluster says would differ, Secrets by their keys only."""
        helm, charted = under.helm_of(work), under.charted_of(work)
        found = under.rendered(helm, charted)
        before = under.deployed_objects(helm, charted.release, helm.history(charted.release))
        differing = manifests.differences(before, found.objects)
        wrong = under.refusal(work, found)
        return Planned(
            changes=under.changes_of(charted.release, differing), error=wrong.failure if wrong else None
        )

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Find the earlier start's revision, settle what a killed helm left, hold on foreign revisions."""
        helm, release = under.helm_of(work), under.release_of(work)
        history = helm.history(release)
        newest = history[-1] if history else None
        ours = not under.untouched(work, newest) and helm.is_marked(release, under.step_mark(work))
        if newest is not None and (ours or newest.is_pending):
            settled = self._begun(work, helm, newest, history, ours=ours)
            if settled is not None:
                return settled
        held = under.foreign(work, helm, newest, ours=ours)
        if held is not None:
            return held
        settle = under.went_out(history) if newest is not None and newest.is_pending else 0
        return self._change(work, helm, history, settle=settle)

    def _begun(
        self, work: Work, helm: Helm, newest: Revision, history: list[Revision], *, ours: bool
    ) -> Change | Found | Outcome | None:
        """What the newest revision says of an earlier start; None where the upgrade is to be sent now."""
        args = {"revision": newest.number, "status": newest.status}
        if newest.is_pending:
            if not ours and not helm.is_marked(under.release_of(work), under.rollout_mark(work)):
                return failed(PENDING, args=args)
            waiting = under.pending(work, newest)
            if waiting is None and not under.went_out(history):
                return failed(PENDING, args=args)
            return waiting
        if newest.status != "deployed":
            return failed(FAILED, newest.description)
        previous = under.went_out(history, before=newest.number)
        if held := under.held(work):
            return Change(changes=held, payload=Ready(under.charted_of(work), previous, sent=newest.number))
        acted = under.remembered_release(work, revision=newest.number, previous=previous)
        return Found(acted=acted, observed={"code": "helm_upgraded", "args": {"revision": newest.number}})

    def _change(self, work: Work, helm: Helm, history: list[Revision], *, settle: int) -> Change | Outcome:
        charted = under.charted_of(work)
        if settle:
            # The cluster can't be asked for a dry run while the release stands half-way.
            row = {"object": f"helm/{charted.release}", "field": "status"}
            changes = [{**row, "before": history[-1].status, "after": "deployed"}]
            return Change(changes=changes, payload=Ready(charted, settle, settle))
        found = under.rendered(helm, charted)
        wrong = under.refusal(work, found)
        if wrong is not None:
            return wrong
        before = under.deployed_objects(helm, charted.release, history)
        differing = manifests.differences(before, found.objects)
        return Change(
            changes=under.changes_of(charted.release, differing),
            payload=Ready(charted, under.went_out(history), on_server=found.on_server),
        )

    def act(self, work: Work, change: Change) -> Json:
        """Send the upgrade, after a rollback where a killed helm left it half-way."""
        ready: Ready = change.payload
        revision = ready.sent or _send(work, ready)
        under.let_go(work)
        return under.remembered_release(work, revision=revision, previous=ready.previous)

    def observe(self, work: Work) -> Outcome:
        """Helm's answer said it: done; the pods are watched by steps of their own."""
        return done("helm_upgraded", args={"revision": (work.step.acted or {}).get("revision")})


def _send(work: Work, ready: Ready) -> int:
    """Upgrade, and return the number of the revision."""
    helm, charted = under.helm_of(work), ready.charted
    if ready.settle:
        # What it renders was looked at before the upgrade that was killed; chart and values are the same.
        helm.rollback(charted.release, revision=ready.settle, seconds=under.HOOK_SECONDS)
    written = helm.upgrade(
        charted,
        labels={**under.step_mark(work), **under.rollout_mark(work)},
        description=f"Release {work.release.number}, step {work.step.key}, by the release portal",
        seconds=under.HOOK_SECONDS,
        on_server=ready.on_server,
    )
    return written.number
