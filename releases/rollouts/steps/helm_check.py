"""Preflight of a service under Helm: everything that can be known before the release begins is said here."""

import contextlib
from collections.abc import Iterator

from portal.errors import PermanentError
from portal.integrations.helm import manifests
from portal.integrations.helm.client import CONFLICT, PENDING, Helm, program_version
from portal.integrations.kubernetes.client import Cluster, Right
from portal.integrations.kubernetes.manifests import PLURALS
from portal.sentences import kept
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

# Who may not look has found nothing.
KEPT_OUT = frozenset({"forbidden", "unauthorized"})
# Helm keeps its revisions in Secrets (protocols.md, D).
RIGHTS = tuple(Right(verb=verb, resource="secrets") for verb in ("get", "list", "create", "update", "delete"))


class HelmCheck(StepKind):
    """helm is there and new enough, reaches the cluster, and what the chart renders may go out."""

    name = "helm_check"

    def plan(self, work: Work) -> Planned:
        """Name what is wrong before anybody starts."""
        return Planned(error=self.observe(work).failure)

    def observe(self, work: Work) -> Outcome:
        """Check; what Helm says of the program and the chart is what this looks for."""
        try:
            return self._checked(work)
        except PermanentError as error:
            if error.code in KEPT_OUT:
                raise
            return failed(error.code, kept(error.detail))

    def _checked(self, work: Work) -> Outcome:
        """Look in the order in which people did: program, cluster, chart, what it would write."""
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
        wrong = _fresh(work, first, second) or refusal(work, first) or _contested(work, helm, first)
        if wrong is not None:
            return wrong
        before = deployed_objects(helm, charted.release, history)
        count = len(changes_of(charted.release, manifests.differences(before, first.objects)))
        return done("helm_checked", args={"version": version, "count": count})


def _missing(work: Work, helm: Helm) -> list[str]:
    """Return the rights on Secrets that helm's own account lacks."""
    with _seen_by(helm, work) as cluster:
        return [
            str(right) for right in RIGHTS if not cluster.may(right, namespace=work.environment.namespace)
        ]


@contextlib.contextmanager
def _seen_by(helm: Helm, work: Work) -> Iterator[Cluster]:
    """The cluster as helm's own account sees it."""
    if helm.access == work.cluster.access:
        yield work.cluster
        return
    with contextlib.closing(Cluster(helm.access)) as cluster:
        yield cluster


def _contested(work: Work, helm: Helm, found: Rendered) -> Outcome | None:
    """Name who else has written what the chart would change; Helm 4's own dry run does not ask.

    Of kinds that the portal does not apply itself Helm says it when it gets there.
    """
    if not found.on_server or helm.takes_fields:
        return None
    with _seen_by(helm, work) as cluster:
        for each in found.objects:
            plural = PLURALS.get((str(each.get("apiVersion")), str(each.get("kind"))))
            words = plural and cluster.contested(
                plural, work.environment.namespace, each, manager=helm.field_manager
            )
            if words:
                name = f"{each['kind']}/{each['metadata']['name']}"
                return failed(CONFLICT, f"{name}: {words}")
    return None


def _fresh(work: Work, first: Rendered, second: Rendered) -> Outcome | None:
    """What comes out otherwise each time can't be shown before it is written, and so not be approved."""
    allowed = set(work.step.params["helm"].get("fresh") or [])
    names = [each for each in manifests.fresh(first.everything, second.everything) if each not in allowed]
    return failed("helm_fresh", args={"names": ", ".join(names)}) if names else None
