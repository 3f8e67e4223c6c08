"""Preflight of a service under Helm: everything that can be known before the release begins is said here."""

from portal.integrations.helm import manifests
from portal.integrations.helm.client import PENDING, Helm, program_version
from portal.integrations.kubernetes.client import Cluster, Right
from releases.rollouts.steps.helm import (
    Rendered,
    changes_of,
    charted_of,
    deployed_objects,
    helm_of,
    refusal,
    release_of,
    rendered,
)
from releases.rollouts.steps.kind import Outcome, Planned, StepKind, Work, done, failed

# Helm keeps its revisions in Secrets (protocols.md, D).
RIGHTS = tuple(Right(verb=verb, resource="secrets") for verb in ("get", "list", "create", "update", "delete"))


class HelmCheck(StepKind):
    """helm is there and new enough, reaches the cluster, and what the chart renders may go out."""

    name = "helm_check"

    def plan(self, work: Work) -> Planned:
        """Name what is wrong before anybody starts."""
        return Planned(error=self.observe(work).failure)

    def observe(self, work: Work) -> Outcome:
        """Check in the order in which people did: program, cluster, chart, what it would write."""
        helm = helm_of(work)
        version = ".".join(map(str, program_version(helm.binary)))
        missing = _missing(work, helm)
        if missing:
            return failed("rights_missing", args={"rights": ", ".join(missing)}, message=", ".join(missing))
        history = helm.history(release_of(work))
        if history and history[-1].is_pending:
            args = {"revision": history[-1].number, "status": history[-1].status}
            return failed(PENDING, args=args)
        charted = charted_of(work)
        helm.lint(charted)
        helm.template(charted)
        first, second = rendered(helm, charted), rendered(helm, charted)
        wrong = _fresh(work, first, second) or refusal(work, first)
        if wrong is not None:
            return wrong
        before = deployed_objects(helm, charted.release, history)
        count = len(changes_of(charted.release, manifests.differences(before, first.objects)))
        return done("helm_checked", args={"version": version, "count": count})


def _missing(work: Work, helm: Helm) -> list[str]:
    """Return the rights on Secrets that helm's own account lacks."""
    cluster = Cluster(helm.access) if helm.access != work.cluster.access else work.cluster
    try:
        return [
            str(right) for right in RIGHTS if not cluster.may(right, namespace=work.environment.namespace)
        ]
    finally:
        if cluster is not work.cluster:
            cluster.close()


def _fresh(work: Work, first: Rendered, second: Rendered) -> Outcome | None:
    """What comes out otherwise each time can't be shown before it is written, and so not be approved."""
    allowed = set(work.step.params["helm"].get("fresh") or [])
    names = [each for each in manifests.fresh(first.everything, second.everything) if each not in allowed]
    return failed("helm_fresh", args={"names": ", ".join(names)}) if names else None
