"""Health over HTTP: Spring's actuator judged by its JSON, plain HTTP by its code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.integrations.http.client import Answer, get
from releases.catalog.outbound import allowed
from releases.rollouts.steps.answers import unmet
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Work, done, wait

ASK_SECONDS = 1.0
ANSWER_SECONDS = 5.0
# Spring counts an unknown part as healthy.
UP = frozenset({"UP", "UNKNOWN"})
# What a step may say of its own, over the service's document.
OWN = frozenset({"port", "path", "url", "expect", "json"})
PATHS = {"actuator": "/actuator/health", "http": "/"}


@dataclass(frozen=True)
class Target:
    """Where to ask, and the addresses the cluster named for it, which may be called by number."""

    url: str
    addresses: tuple[str, ...] = ()


class Health(StepKind):
    """Asks a service for its own view of its health, through its Kubernetes Service or its address."""

    name = "health"
    measures = True

    def plan(self, work: Work) -> Planned:
        """Resolve the address, so that a missing Service is named before the start."""
        document = _document(work)
        if document.get("kind", "none") != "none":
            target_of(work, document)
        return Planned()

    def observe(self, work: Work) -> Outcome:
        """Ask once."""
        document = _document(work)
        if document.get("kind", "none") == "none":
            return done("no_health_known")
        judge = _actuator if document["kind"] == "actuator" else _plain
        return _ask(work, document, judge)


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
        return _ask(work, work.step.params, _plain)


def target_of(work: Work, document: Mapping[str, Any]) -> Target:
    """Return what a health document means: its url, or its Kubernetes Service's cluster address.

    Raises:
        PermanentError: the Service is missing or has no address of its own.
    """
    if document.get("url"):
        return Target(str(document["url"]))
    name = str(document.get("service") or (work.step.service.name if work.step.service else ""))
    service, address = address_of_service(work, name)
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
    service = work.cluster.get(f"/api/v1/namespaces/{work.environment.namespace}/services/{name}")
    address = str(service["spec"].get("clusterIP") or "None")
    if address == "None":
        text = _("Service {name} has no cluster address to ask.").format(name=name)
        raise PermanentError(text, code="no_address")
    return service, address


def _ask(work: Work, document: Json, judge: Callable[[str, Answer, Json], Outcome]) -> Outcome:
    target = target_of(work, document)
    allow = allowed(work.environment, addresses=target.addresses)
    try:
        answer = get(target.url, timeout_seconds=ANSWER_SECONDS, allow=allow)
    except TemporaryError as error:
        args = {"url": target.url, "message": str(error.detail)}
        return wait("no_answer", seconds=ASK_SECONDS, args=args, unmeasured=True)
    return judge(target.url, answer, document)


def _document(work: Work) -> Json:
    own = {key: value for key, value in work.step.params.items() if key in OWN}
    service = work.step.service
    known = (service.spec.get("health") if service else None) or {"kind": "none"}
    named = {"kind": work.step.params["check"]} if work.step.params.get("check") else {}
    return {**known, **own, **named}


def _actuator(url: str, answer: Answer, document: Json) -> Outcome:
    status = str(answer.json.get("status", "")) if isinstance(answer.json, dict) else ""
    shown = status or f"HTTP {answer.status}"
    return _judged(url, answer, document, shown, well=answer.status == 200 and status in UP)


def _plain(url: str, answer: Answer, document: Json) -> Outcome:
    shown = f"HTTP {answer.status}"
    well = str(answer.status) == str(document.get("expect") or 200)
    return _judged(url, answer, document, shown, well=well)


def _judged(url: str, answer: Answer, document: Json, shown: str, *, well: bool) -> Outcome:
    """Healthy where the answer is well and its JSON says what it must."""
    wrong = unmet(answer.json, document.get("json") or ())
    seen = {"url": url, "status": shown}
    if well and not wrong:
        return done("healthy", args=seen)
    args = {**seen, "unmet": wrong} if wrong else seen
    return wait("unhealthy", seconds=ASK_SECONDS, args=args)
