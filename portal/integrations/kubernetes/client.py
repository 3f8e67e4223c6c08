"""What is kept in one cluster: raw JSON in and out, and writes that name what they rest on.

Reads bypass the library's models: they are slow for polling and refuse answers with a field missing
(protocols.md, A5). Nothing is repeated silently: what to do after an error is the caller's decision.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.integrations.answers import read_body, read_json
from portal.integrations.argo.rollouts import image_operations
from portal.integrations.kubernetes.connection import read_connection
from portal.integrations.kubernetes.errors import (
    CONFLICT,
    FIELD_CONFLICT,
    INVALID,
    MISSING,
    refused,
)
from portal.integrations.kubernetes.patches import (
    annotating,
    guarded,
    image_patch,
    letting_go,
    merge_patch,
    size_patch,
    template_patch,
)
from portal.integrations.kubernetes.server import CONNECT_SECONDS, Server
from portal.integrations.kubernetes.workloads import (
    FIELD_MANAGER,
    HOLDER,
    PLURALS,
    ROLLOUT,
    Json,
    Reference,
    Workload,
    merged,
)
from portal.sentences import sentence

# More of a log is not read: the server would cut off its newest lines.
BYTES_A_LINE = 2_048
# More of what a pod answers is not read: its health is short.
BYTES_OF_A_POD = 262_144
# What the server may not pass on; a pod may answer so as well.
REFUSED = (401, 403)
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
GROUPS = {
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "daemonsets": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "controllerrevisions": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "httproutes": "/apis/gateway.networking.k8s.io/v1",
    "jobs": "/apis/batch/v1",
    "cronjobs": "/apis/batch/v1",
    "ingresses": "/apis/networking.k8s.io/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "rollouts": "/apis/argoproj.io/v1alpha1",
    "applications": "/apis/argoproj.io/v1alpha1",
}


@dataclass(frozen=True)
class Listing:
    """The objects of a collection and the version from which a watch goes on."""

    items: list[Json]
    version: str


@dataclass(frozen=True)
class Answered:
    """What a pod has answered; `body` is None where that was no JSON."""

    status: int
    body: Any


@dataclass(frozen=True, kw_only=True)
class Right:
    """One thing the portal must be allowed to do in a namespace."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {name}"


class Cluster(Server):
    """What is kept in one API server, as the portal's account sees it."""

    def get(self, path: str, **query: object) -> Json:
        """Read one object or collection by path."""
        return self.call("GET", path, query=query)

    def find(
        self, plural: str, namespace: str, *, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> Listing:
        """Read a collection of a namespace, cut to labels and to a field selector."""
        query: dict[str, object] = {}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        if fields:
            query["fieldSelector"] = fields
        body = self.call("GET", collection_path(plural, namespace), query=query)
        kind = str(body.get("kind", "")).removesuffix("List")
        items = [{"kind": kind, **item} for item in body.get("items") or []]
        return Listing(items, str(body.get("metadata", {}).get("resourceVersion", "")))

    def read(self, plural: str, namespace: str, name: str) -> Json | None:
        """Read one object; None where there is none of that name."""
        try:
            return self.get(f"{collection_path(plural, namespace)}/{name}")
        except PermanentError as error:
            if error.code == MISSING:
                return None
            raise

    def create(self, plural: str, namespace: str, body: Json, *, dry_run: bool = False) -> Json:
        """Make a new object.

        Raises:
            TemporaryError: with code "conflict" when there is one of that name already.
        """
        query = _writing(dry_run=dry_run)
        return self.call("POST", collection_path(plural, namespace), query=query, body=body)

    def change(self, plural: str, seen: Json, body: Json, *, part: str = "", dry_run: bool = False) -> Json:
        """Merge fields into an object, on the condition that nothing else changed since it was `seen`.

        Args:
            part: a subresource, such as "status" of a custom resource that keeps it apart.

        Raises:
            TemporaryError: with code "conflict" when the object changed since it was read.
        """
        found = seen["metadata"]
        metadata = {**body.get("metadata", {}), "resourceVersion": found["resourceVersion"]}
        return self.call(
            "PATCH",
            f"{collection_path(plural, found['namespace'])}/{found['name']}" + (f"/{part}" if part else ""),
            query=_writing(dry_run=dry_run),
            body={**body, "metadata": metadata},
            content_type=MERGE_PATCH,
        )

    def resize(
        self,
        plural: str,
        seen: Json,
        replicas: int,
        *,
        annotations: Mapping[str, str],
        dry_run: bool = False,
    ) -> Json:
        """Set the size of a workload, on the condition that it is still the one that was `seen`.

        Raises:
            TemporaryError: with code "conflict" when somebody else has set it since it was read.
        """
        found = seen["metadata"]
        path = f"{collection_path(plural, found['namespace'])}/{found['name']}"
        body = size_patch(seen, replicas, annotations=annotations)
        query = _writing(dry_run=dry_run)
        try:
            return self.call("PATCH", path, query=query, body=body, content_type=JSON_PATCH)
        except PermanentError as error:
            # A failed test is refused in the same words as a patch that makes no sense.
            if error.code == INVALID and _size_of(self.get(path)) != _size_of(seen):
                raise TemporaryError(error.detail, retry_in=0.1, code=CONFLICT) from error
            raise

    def apply(self, plural: str, namespace: str, body: Json, *, dry_run: bool = False) -> Json:
        """Make an object what a configuration says, by server-side apply without force; returns all of it.

        Raises:
            PermanentError: with code "field_conflict", naming who else has written which field differently.
        """
        path = f"{collection_path(plural, namespace)}/{body['metadata']['name']}"
        query = _writing(dry_run=dry_run)
        # JSON is YAML as well.
        return self.call("PATCH", path, query=query, body=body, content_type=APPLY)

    def contested(self, plural: str, namespace: str, body: Json, *, manager: str) -> str:
        """Return who else has written what `manager` would change by applying a configuration.

        In the server's words, by a dry run; empty where nobody has, and where the server says anything else.

        Raises:
            TemporaryError: no answer, or one that may heal.
        """
        path = f"{collection_path(plural, namespace)}/{body['metadata']['name']}"
        query = {"fieldManager": manager, "dryRun": "All"}
        try:
            self.call("PATCH", path, query=query, body=body, content_type=APPLY)
        except PermanentError as error:
            return str(error.detail) if error.code == FIELD_CONFLICT else ""
        return ""

    def delete(self, plural: str, seen: Json) -> None:
        """Delete an object that was seen, and no other that has come under its name since."""
        metadata = seen["metadata"]
        path = f"{collection_path(plural, metadata['namespace'])}/{metadata['name']}"
        body = {"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": "Background"}
        self.call("DELETE", path, body=body)

    def workload(self, reference: Reference) -> Workload:
        """Read one workload, with the Deployment that holds its template where one does.

        Raises:
            PermanentError: with code "missing" when it does not exist.
        """
        found = Workload({"kind": reference.kind, **self.get(reference.path)})
        named = found.raw["spec"].get("workloadRef") if reference.kind == ROLLOUT else None
        if not named:
            return found
        held = Reference("Deployment", reference.namespace, named["name"])
        return Workload({**found.raw, HOLDER: self.get(held.path)})

    def set_images(
        self,
        seen: Workload,
        images: Mapping[str, str],
        *,
        annotations: Mapping[str, str],
        dry_run: bool = False,
    ) -> Workload:
        """Change the images of named containers, on the condition that nothing else changed since `seen`.

        Raises:
            PermanentError: a container is not there (a strategic patch would add it), or a refusal.
            TemporaryError: with code "conflict" when the object changed since it was read.
        """
        missing = sorted(set(images) - set(seen.images))
        if missing:
            text = sentence(
                _("{workload} has no container {names}."), workload=seen.reference, names=", ".join(missing)
            )
            raise PermanentError(text, code="no_such_container")
        if seen.written.kind == ROLLOUT:
            operations = [
                *guarded(seen),
                *image_operations(seen.template, images),
                *annotating(seen.annotations, annotations),
            ]
            return self._patch(seen, operations, content_type=JSON_PATCH, dry_run=dry_run)
        body = image_patch(seen, images, annotations=annotations)
        return self._patch(seen, body, content_type=STRATEGIC, dry_run=dry_run)

    def merge_template(
        self, seen: Workload, template: Json, *, annotations: Mapping[str, str], dry_run: bool = False
    ) -> Workload:
        """Merge fields into the pod template, on the condition that nothing else changed since `seen`.

        Raises:
            TemporaryError: with code "conflict" when the object changed since it was read.
        """
        if seen.written.kind == ROLLOUT:
            whole = merged(seen.template, template)
            return self.restore_template(seen, whole, annotations=annotations, dry_run=dry_run)
        body = merge_patch(seen, template, annotations=annotations)
        return self._patch(seen, body, content_type=STRATEGIC, dry_run=dry_run)

    def restore_template(
        self, seen: Workload, template: Json, *, annotations: Mapping[str, str], dry_run: bool = False
    ) -> Workload:
        """Put a recorded pod template back as a whole, on the condition that nothing changed since `seen`."""
        operations = template_patch(seen, template, annotations=annotations)
        return self._patch(seen, operations, content_type=JSON_PATCH, dry_run=dry_run)

    def let_go(self, seen: Workload) -> None:
        """Take the portal's own pause away, on the condition that nothing changed since `seen`.

        Raises:
            TemporaryError: with code "conflict" when the object changed since it was read.
        """
        self.change(PLURALS[seen.reference.kind], seen.raw, letting_go())

    def restart_rollout(
        self, seen: Workload, at: str, *, annotations: Mapping[str, str], dry_run: bool = False
    ) -> Workload:
        """Have a Rollout's pods made anew: a time in its spec, which begins no canary as a template would.

        Args:
            at: pods that are older are replaced; RFC 3339, in whole seconds of UTC, as its controller writes.

        Raises:
            TemporaryError: with code "conflict" when the object changed since it was read.
        """
        body = {"metadata": {"annotations": dict(annotations)}, "spec": {"restartAt": at}}
        answer = self.change(PLURALS[ROLLOUT], seen.raw, body, dry_run=dry_run)
        return Workload({**seen.raw, **answer})

    def may(self, right: Right, *, namespace: str) -> bool:
        """Ask the cluster whether the portal's account has a right (SelfSubjectAccessReview)."""
        attributes = {
            "namespace": namespace,
            "verb": right.verb,
            "group": right.group,
            "resource": right.resource,
            "subresource": right.subresource,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = self.call("POST", path, body=body)
        return bool(answer.get("status", {}).get("allowed"))

    def log_tail(
        self, namespace: str, pod: str, *, container: str, previous: bool, lines: int = 50
    ) -> list[str]:
        """Return the last lines a container wrote; `previous` asks for the run before the present one."""
        query = {"container": container, "tailLines": lines, "limitBytes": max(65_536, lines * BYTES_A_LINE)}
        if previous:
            query["previous"] = "true"
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        _response, data = self._send("GET", path, query=query)
        return data.decode(errors="replace").splitlines()[-lines:]

    def ask_pod(self, namespace: str, pod: str, *, port: int, path: str, seconds: float) -> Answered | None:
        """GET from a pod through the API server; None where it does not answer.

        A pod that keeps us waiting says nothing about the server, which is left as it was believed to be.
        What the server says itself, of a pod that it cannot reach or that is gone, is no answer of the pod.

        Raises:
            PermanentError: the server refuses to pass it on.
        """
        self._leave_alone()
        url = f"{self.access.server}/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}"
        until = time.monotonic() + CONNECT_SECONDS + seconds
        try:
            response = self._ask("GET", url, headers=self._headers(), seconds=(CONNECT_SECONDS, seconds))
            data = read_body(response, most=BYTES_OF_A_POD, until=until)
        except urllib3.exceptions.HTTPError:
            return None
        try:
            body = read_json(data)
        except ValueError:
            return Answered(response.status, None)
        if response.status in REFUSED and _is_the_servers(body):
            raise refused(response.status, data, response.headers)
        return None if _is_the_servers(body) else Answered(response.status, body)

    def _patch(self, seen: Workload, body: object, *, content_type: str, dry_run: bool) -> Workload:
        query = _writing(dry_run=dry_run)
        answer = self.call("PATCH", seen.written.path, query=query, body=body, content_type=content_type)
        if seen.holder is not None:
            return Workload({**seen.raw, HOLDER: answer})
        return Workload({"kind": seen.reference.kind, **answer})


def _is_the_servers(body: Any) -> bool:
    return isinstance(body, dict) and (body.get("kind"), body.get("apiVersion")) == ("Status", "v1")


_CLUSTERS: dict[str, Cluster] = {}


def connect(spec: Mapping[str, Any]) -> Cluster:
    """Return the cluster a connection's spec names; one per access, so that sockets are kept.

    Raises:
        PermanentError: with code "connection" when the spec or its kubeconfig is unusable.
    """
    access = read_connection(spec)
    key = f"{os.getpid()}:{access!r}"
    if key not in _CLUSTERS:
        _CLUSTERS[key] = Cluster(access)
    return _CLUSTERS[key]


def _writing(*, dry_run: bool) -> dict[str, str]:
    query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
    return {**query, "dryRun": "All"} if dry_run else query


def _size_of(body: Json) -> tuple[str, int | None]:
    """The size of an object, and which object it is."""
    return body["metadata"]["uid"], body["spec"].get("replicas")


def collection_path(plural: str, namespace: str) -> str:
    """Return the path of a namespace's collection."""
    return f"{GROUPS.get(plural, '/api/v1')}/namespaces/{namespace}/{plural}"


def group_of(plural: str) -> str:
    """Return the API group of a collection; empty for the core's."""
    return GROUPS.get(plural, "/api/v1").removeprefix("/apis/").partition("/")[0] if plural in GROUPS else ""
