"""At the end: which revision is deployed, and how what it wrote is reached."""

from collections.abc import Iterable, Iterator

from portal.integrations.helm import manifests
from portal.integrations.helm.client import FAILED
from releases.catalog.outbound import public_url
from releases.rollouts.steps.helm import helm_of, release_of, rollout_mark
from releases.rollouts.steps.kind import Json, Outcome, StepKind, Work, done, failed

MOST_ADDRESSES = 20


class HelmStatus(StepKind):
    """Reads the release back: deployed, and by this rollout."""

    name = "helm_status"

    def observe(self, work: Work) -> Outcome:
        """Name revision and addresses."""
        helm, release = helm_of(work), release_of(work)
        history = helm.history(release)
        newest = history[-1] if history else None
        if newest is None or newest.status != "deployed":
            return failed(FAILED, f"{newest.status}: {newest.description}" if newest else release)
        if not helm.is_marked(release, rollout_mark(work)):
            return failed("helm_other_revision", args={"revision": newest.number})
        found = manifests.objects(helm.manifest(release, revision=newest.number))
        own = public_url(work.environment)
        addresses = [*([own] if own else []), *_addresses(found, work.environment.namespace)]
        told = ", ".join(addresses[:MOST_ADDRESSES]) or "–"
        args = {"release": release, "revision": newest.number, "chart": newest.chart, "addresses": told}
        return done("helm_status", args=args)


def _addresses(found: Iterable[Json], namespace: str) -> Iterator[str]:
    """Where people come in from outside, then the names inside the cluster."""
    objects = list(found)
    for each in objects:
        if each["kind"] == "Ingress":
            yield from _hosts(each.get("spec") or {})
    for each in objects:
        if each["kind"] == "Service":
            name = f"{each['metadata']['name']}.{namespace}"
            ports = (each.get("spec") or {}).get("ports") or []
            yield from (f"{name}:{port['port']}" for port in ports if port.get("port"))


def _hosts(spec: Json) -> Iterator[str]:
    secure = {host for each in spec.get("tls") or [] for host in each.get("hosts") or []}
    for rule in spec.get("rules") or []:
        if host := rule.get("host"):
            yield f"{'https' if host in secure else 'http'}://{host}"
