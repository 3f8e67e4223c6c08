"""The audit log, as the real API server writes it: who asked for what and when, one line an answer.

https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/ has the form.
"""

import json
import logging
import uuid
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portal.embedded.cluster.paths import parse, verb_of

logger = logging.getLogger(__name__)


class Audited:
    """The application of the API server, and a file that says what it was asked."""

    def __init__(self, app: ASGIApp, file: Path) -> None:
        self._app = app
        self._file = file.open("a", encoding="utf-8", buffering=1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        received, request = datetime.now(UTC), Request(scope)

        async def tell(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                self._write(request, int(message["status"]), received)

        await self._app(scope, receive, tell)

    def _write(self, request: Request, status: int, received: datetime) -> None:
        target = parse(request.url.path)
        watch = request.query_params.get("watch") in {"true", "1"}
        event: dict[str, object] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": str(uuid.uuid4()),
            "stage": "ResponseStarted" if watch else "ResponseComplete",
            "requestURI": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "verb": verb_of(request.method, target, watch=watch) if target else request.method.lower(),
            "userAgent": request.headers.get("user-agent", ""),
            "responseStatus": {"code": status},
            "requestReceivedTimestamp": _written(received),
            "stageTimestamp": _written(datetime.now(UTC)),
        }
        if target:
            names = {"resource": target.plural, "namespace": target.namespace, "name": target.name}
            of = {"apiGroup": target.group, "apiVersion": target.version, "subresource": target.subresource}
            event["objectRef"] = {key: value for key, value in {**names, **of}.items() if value}
        try:
            self._file.write(json.dumps(event) + "\n")
        except OSError as error:  # a full disk keeps nobody from an answer
            logger.warning("the audit log cannot be written: %s", error)


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
