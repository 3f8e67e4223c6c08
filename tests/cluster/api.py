"""A plain client of the Kubernetes API for tests: JSON in and out, every header in the open."""

import json
import ssl
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

Json = dict[str, Any]

PATCH_TYPES = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
GROUPS = {
    "deployments": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "daemonsets": "apis/apps/v1",
    "controllerrevisions": "apis/apps/v1",
    "jobs": "apis/batch/v1",
    "cronjobs": "apis/batch/v1",
    "horizontalpodautoscalers": "apis/autoscaling/v2",
    "endpointslices": "apis/discovery.k8s.io/v1",
    "httproutes": "apis/gateway.networking.k8s.io/v1",
    "rollouts": "apis/argoproj.io/v1alpha1",
    "applications": "apis/argoproj.io/v1alpha1",
}


@dataclass(frozen=True)
class Answer:
    """What the server said, whatever the code."""

    code: int
    body: Json
    headers: Mapping[str, str]


class Refused(Exception):
    """The server answered with a Status that is an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.code}: {json.dumps(answer.body)[:600]}")
        self.code = answer.code
        self.status = answer.body
        self.reason = answer.body.get("reason")
        self.message = str(answer.body.get("message", ""))

    @property
    def causes(self) -> list[Json]:
        return list(self.status.get("details", {}).get("causes", []))


class Api:
    """The API as one user sees it."""

    def __init__(self, server: str, *, token: str | None, authority: str | None = None) -> None:
        self.server = server
        self.token = token
        self._authority = authority
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Read time: the slowest answer; a watch sets its own.
        timeout = urllib3.Timeout(connect=5, read=30)
        trust = ssl.create_default_context(cadata=authority)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False, ssl_context=trust, maxsize=4)

    def as_user(self, token: str | None) -> "Api":
        """Return the same server as another user, or as nobody."""
        return Api(self.server, token=token, authority=self._authority)

    def close(self) -> None:
        self._pool.clear()

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str | None = "application/json",
        query: Mapping[str, object] | None = None,
        accept: str = "application/json",
        meanwhile: Callable[[], object] | None = None,
    ) -> Answer:
        """Send one request and return the answer, errors too.

        Args:
            meanwhile: called when the server has the request but for the last byte of its body.
        """
        headers = {**self._headers, "Accept": accept}
        data = None
        if body is not None:
            headers |= {"Content-Type": content_type} if content_type else {}
            data = json.dumps(body).encode()
        sent = data if data is None or meanwhile is None else _interrupted(data, meanwhile)
        fields = {name: str(value) for name, value in (query or {}).items()}
        url = f"{self.server}/{path}" + ("?" + urlencode(fields) if fields else "")
        response = self._pool.request(method, url, body=sent, headers=headers)
        return Answer(response.status, _decode(response.data), response.headers)

    def call(self, method: str, path: str, **options: Any) -> Json:
        """Send one request and return its body.

        Raises:
            Refused: the server answered with an error.
        """
        answer = self.ask(method, path, **options)
        if answer.code >= 400:
            raise Refused(answer)
        return answer.body

    def get(self, path: str, **query: object) -> Json:
        return self.call("GET", path, query=query)

    def create(self, path: str, body: Json, **query: object) -> Json:
        return self.call("POST", path, body=body, query=query)

    def replace(self, path: str, body: Json, **query: object) -> Json:
        return self.call("PUT", path, body=body, query=query)

    def patch(self, path: str, body: object, *, kind: str = "strategic", **query: object) -> Json:
        return self.call("PATCH", path, body=body, content_type=PATCH_TYPES[kind], query=query)

    def delete(self, path: str, *, body: Json | None = None, **query: object) -> Json:
        return self.call("DELETE", path, body=body, query=query)

    def watch(self, path: str, *, seconds: int, **query: object) -> Iterator[Json]:
        """Yield the events of a watch until the server ends it after `seconds`.

        Raises:
            Refused: the watch was refused before it began.
        """
        fields = {name: str(value) for name, value in query.items()}
        fields |= {"watch": "true", "timeoutSeconds": str(seconds)}
        url = f"{self.server}/{path}?{urlencode(fields)}"
        timeout = urllib3.Timeout(connect=5, read=seconds + 10)
        response = self._pool.request(
            "GET", url, headers=self._headers, preload_content=False, timeout=timeout
        )
        try:
            if response.status >= 400:
                raise Refused(Answer(response.status, _decode(response.read()), response.headers))
            yield from _lines(response)
        finally:
            # A connection with a half-read stream is no good for the next request.
            response.close()
            response.release_conn()


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[Json]:
    rest = b""
    for chunk in response.stream(amt=None):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield json.loads(line)


def _interrupted(data: bytes, meanwhile: Callable[[], object]) -> Iterator[bytes]:
    yield data[:-1]
    meanwhile()
    yield data[-1:]


def _decode(data: bytes) -> Json:
    if not data:
        return {}
    try:
        decoded = json.loads(data)
    except ValueError:
        return {"text": data.decode(errors="replace")}
    return decoded if isinstance(decoded, dict) else {"value": decoded}


def address(plural: str, *, namespace: str | None, name: str = "", sub: str = "") -> str:
    """Return the path of a collection, an object or its subresource."""
    place = f"namespaces/{namespace}" if namespace else ""
    parts = [GROUPS.get(plural, "api/v1"), place, plural, name, sub]
    return "/".join(part for part in parts if part)


def from_kubeconfig(path: Path, *, context: str | None = None) -> Api | None:
    """Return the API as the user of a context of a kubeconfig sees it (default: the current one).

    None when the file has no such context. Only tokens and inline CA data are understood.
    """
    config = yaml.safe_load(path.read_text())
    wanted = context or config["current-context"]
    contexts = {each["name"]: each["context"] for each in config["contexts"]}
    if wanted not in contexts:
        return None
    clusters = {each["name"]: each["cluster"] for each in config["clusters"]}
    users = {each["name"]: each.get("user") or {} for each in config["users"]}
    cluster = clusters[contexts[wanted]["cluster"]]
    encoded = cluster.get("certificate-authority-data")
    authority = b64decode(encoded).decode() if encoded else None
    return Api(
        cluster["server"].rstrip("/"), token=users[contexts[wanted]["user"]].get("token"), authority=authority
    )
