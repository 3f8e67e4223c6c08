"""Health over HTTP: Spring's actuator judged by its JSON, plain HTTP by its code."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.errors import PermanentError, TemporaryError
from portal.integrations.http.client import get
from portal.sentences import kept
from releases.catalog.health import is_of_every_pod
from releases.catalog.outbound import allowed
from releases.rollouts.models import Step
from releases.rollouts.steps import pod_health
from releases.rollouts.steps.answers import health_of, in_short
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Work, done, wait
from releases.rollouts.tables import PARTS

ASK_SECONDS = 1.0
ANSWER_SECONDS = 5.0
# An address that let a worker wait in vain is left alone for so many times that long: it costs other rollouts
# a tenth of a worker, as a cluster that hangs does (attacks.md, F19).
LEFT_ALONE = 9
# What a step may say of its own, over the service's document.
OWN = frozenset({"port", "path", "url", "expect", "json"})
PATHS = {"actuator": "/actuator/health", "http": "/"}


@dataclass(frozen=True)
class Target:
    """Where to ask, and the addresses the cluster named for it, which may be called by number."""

    url: str
    addresses: tuple[str, ...] = ()


class Health(StepKind):
    """Asks a service for its own view of its health: each of its pods, or its Kubernetes Service.

    A colour, a workload and a canary are asked pod by pod, and so is Spring's actuator, whose answer is about
    the pod that gave it; everything else as its callers reach it, unless the catalog says otherwise.
    """

    name = "health"
    measures = True

    def plan(self, work: Work) -> Planned:
        """Resolve the address, so that a missing Service is named before the start."""
        document = _document(work.step)
        if asks_pods(work.step):
            _service(work, document)
        elif document.get("kind", "none") != "none":
            target_of(work, document)
        return Planned()

    def observe(self, work: Work) -> Outcome:
        """Ask once."""
        document = _document(work.step)
        if document.get("kind", "none") == "none":
            return done("no_health_known")
        if asks_pods(work.step):
            asked = {"path": PATHS[document["kind"]], **document}
            return pod_health.ask(work, asked, _service(work, document))
        return _ask(work, document)


def asks_pods(step: Step) -> bool:
    """Whether the health of a step is asked of each pod, by the API server's proxy."""
    document = _document(step)
    if document.get("kind", "none") == "none" or document.get("url"):
        return False
    return bool(PARTS & step.params.keys()) or is_of_every_pod(document)


class HttpCheck(StepKind):
    """Asks one address and expects one code."""

    name = "http"
    measures = True

    def plan(self, work: Work) -> Planned:
        """Resolve the address."""
        target_of(work, work.step.params)
        return Planned()

    def observe(self, work: Work) -> Outcome:
        """Ask once."""
        return _ask(work, work.step.params)


def target_of(work: Work, document: Mapping[str, Any]) -> Target:
    """Return what a health document means: its url, or its Kubernetes Service's cluster address.

    Raises:
        PermanentError: the Service is missing or has no address of its own.
    """
    if document.get("url"):
        return Target(str(document["url"]))
    service, address = address_of_service(work, _name(work, document))
    ports = service["spec"].get("ports") or [{}]
    port = document.get("port") or ports[0].get("port", 80)
    host = f"[{address}]" if ":" in address else address
    path = str(document.get("path") or PATHS.get(str(document.get("kind")), "/"))
    return Target(f"http://{host}:{port}/{path.lstrip('/')}", (address,))


def address_of_service(work: Work, name: str) -> tuple[Json, str]:
    """Return a Kubernetes Service of the namespace and its cluster address.

    Raises:
        PermanentError: it is missing, or has no address of its own.
    """
    service = _read(work, name)
    address = str(service["spec"].get("clusterIP") or "None")
    if address == "None":
        text = _("Service {name} has no cluster address to ask.").format(name=name)
        raise PermanentError(text, code="no_address")
    return service, address


def _service(work: Work, document: Mapping[str, Any]) -> Json:
    return _read(work, _name(work, document))


def _name(work: Work, document: Mapping[str, Any]) -> str:
    return str(document.get("service") or (work.step.service.name if work.step.service else ""))


def _read(work: Work, name: str) -> Json:
    return work.cluster.get(f"/api/v1/namespaces/{work.environment.namespace}/services/{name}")


def _ask(work: Work, document: Json) -> Outcome:
    target = target_of(work, document)
    allow = allowed(work.environment, addresses=target.addresses)
    since = time.monotonic()
    try:
        answer = get(target.url, timeout_seconds=ANSWER_SECONDS, allow=allow)
    except TemporaryError as error:
        args = {"url": target.url, "message": kept(error.detail)}
        rest = _rest(work.step, waited=time.monotonic() - since)
        return wait("no_answer", seconds=rest, args=args, unmeasured=True)
    is_well, said = health_of(document, answer.status, answer.json)
    args = {"url": target.url, **said}
    if is_well:
        return done("healthy", args=args)
    return wait("unhealthy", seconds=ASK_SECONDS, args={**args, "message": in_short(said)})


def _rest(step: Step, *, waited: float) -> float:
    """How long an address that does not answer is left alone; it is asked again before the time is over."""
    alone = max(ASK_SECONDS, waited * LEFT_ALONE)
    if step.deadline_at is None:
        return alone
    left = (step.deadline_at - clock.now()).total_seconds() - ANSWER_SECONDS
    return min(alone, max(left - ASK_SECONDS, ASK_SECONDS))


def _document(step: Step) -> Json:
    own = {key: value for key, value in step.params.items() if key in OWN}
    known = (step.service.spec.get("health") if step.service else None) or {"kind": "none"}
    named = {"kind": step.params["check"]} if step.params.get("check") else {}
    return {**known, **own, **named}
