"""The HTTP door: from a request to one verb, and from its outcome to an answer."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from portal.embedded.cluster import discovery, metrics, openapi, reviews
from portal.embedded.cluster.access import ADMINS, Act, Caller, denial
from portal.embedded.cluster.bodies import read_body
from portal.embedded.cluster.cluster import Cluster
from portal.embedded.cluster.errors import ApiError, method_not_allowed, unknown_path
from portal.embedded.cluster.kinds import REVIEW_GROUP
from portal.embedded.cluster.paths import Target, parse, verb_of
from portal.embedded.cluster.verbs import Verbs

HEALTH = ("/healthz", "/livez", "/readyz")
WRITTEN = ("POST", "PUT", "PATCH", "DELETE")


class Api:
    """The ASGI application of the API server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._verbs = Verbs(cluster)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ApiError as error:
            response = JSONResponse(error.body, status_code=error.code, headers=error.headers)
        if request.method in WRITTEN:
            self._cluster.store.flush()
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        caller = self._cluster.tokens.caller(request.headers.get("authorization"))
        if path.startswith("/practice/"):
            return await self._practice(request, caller)
        await self._cluster.faults.meet(request.method)
        caller = self._impersonated(request, caller)
        if path in HEALTH or path.startswith(("/livez/", "/readyz/", "/healthz/")):
            return PlainTextResponse("ok")
        target = parse(path)
        if target is None:
            return self._discover(path, request)
        if target.group == metrics.GROUP:
            self._authorize(caller, target, request)
            labels = request.query_params.get("labelSelector", "")
            return JSONResponse(metrics.answer(self._cluster.store, request.method, target, labels=labels))
        if target.kind is None:
            return await self._question(request, caller, target)
        self._authorize(caller, target, request)
        return await self._verbs.perform(request, target)

    def _impersonated(self, request: Request, caller: Caller) -> Caller:
        name = request.headers.get("impersonate-user")
        if not name:
            return caller
        groups = tuple(request.headers.getlist("impersonate-group")) or ("system:authenticated",)
        wanted = [Act("impersonate", resource="users", name=name)]
        wanted += [
            Act("impersonate", resource="groups", name=group) for group in groups if "system:a" not in group
        ]
        for act in wanted:
            if not self._cluster.authorizer.allows(caller, act):
                raise _forbidden(caller, act)
        return Caller(name, groups)

    def _authorize(self, caller: Caller, target: Target, request: Request) -> None:
        watch = request.query_params.get("watch", "") in ("true", "1")
        act = Act(
            verb_of(request.method, target, watch=watch),
            group=target.group,
            resource=target.plural,
            subresource=target.subresource,
            namespace=target.namespace,
            name=target.name,
        )
        if not self._cluster.authorizer.allows(caller, act):
            raise _forbidden(caller, act)

    def _discover(self, path: str, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        parts = [part for part in path.split("/") if part]
        document: Any = None
        match parts:
            case ["version"]:
                document = discovery.VERSION
            case ["api"]:
                document = discovery.core_versions()
            case ["apis"]:
                document = discovery.group_list()
            case ["api", version]:
                document = discovery.resource_list("", version)
            case ["apis", group] if group in dict(discovery.group_versions()):
                named = discovery.group(group, dict(discovery.group_versions())[group])
                document = {"kind": "APIGroup", "apiVersion": "v1", **named}
            case ["apis", group, version]:
                document = discovery.resource_list(group, version)
            case ["openapi", "v3"]:
                document = openapi.index()
            case ["openapi", "v3", "api", version]:
                document = openapi.document("", version)
            case ["openapi", "v3", "apis", group, version]:
                document = openapi.document(group, version)
            case _:
                pass
        if document is None:
            raise unknown_path()
        return JSONResponse(document)

    async def _question(self, request: Request, caller: Caller, target: Target) -> Response:
        """Resources that are only asked: access reviews."""
        act = Act("create", group=target.group, resource=target.plural)
        if not self._cluster.authorizer.allows(caller, act):
            raise _forbidden(caller, act)
        if target.group not in (REVIEW_GROUP, "authentication.k8s.io"):
            raise unknown_path()
        if request.method != "POST":
            raise method_not_allowed()
        body = await read_body(request)
        match target.plural:
            case "selfsubjectaccessreviews":
                answer = reviews.access_review(self._cluster.authorizer, caller, body)
            case "selfsubjectrulesreviews":
                answer = reviews.rules_review(self._cluster.authorizer, caller, body)
            case "selfsubjectreviews":
                answer = reviews.subject_review(caller)
            case _:
                raise unknown_path()
        return JSONResponse(answer, status_code=201)

    async def _practice(self, request: Request, caller: Caller) -> Response:
        """The switches for trouble; for administrators only."""
        faults = self._cluster.faults
        if ADMINS not in caller.groups:
            message = f'User "{caller.name}" cannot switch faults'
            raise ApiError(403, reason="Forbidden", message=message)
        if request.url.path != "/practice/faults":
            raise unknown_path()
        if request.method == "DELETE":
            faults.clear()
        elif request.method in ("PUT", "POST", "PATCH"):
            self._switch(await read_body(request))
        return JSONResponse(faults.show())

    def _switch(self, wanted: dict[str, Any]) -> None:
        self._cluster.faults.set(wanted)
        for watch in tuple(self._cluster.watches):
            if wanted.get("cut_watches"):
                watch.cut()
            elif wanted.get("expire_watches"):
                watch.expire()
        if wanted.get("expire_watches"):
            self._cluster.store.forget_history()


def _forbidden(caller: Caller, act: Act) -> ApiError:
    resource = f"{act.resource}.{act.group}" if act.group else act.resource
    subject = f'{resource} "{act.name}" is forbidden' if act.name else f"{resource} is forbidden"
    details = {"name": act.name, "group": act.group, "kind": act.resource}
    return ApiError(
        403,
        reason="Forbidden",
        message=f"{subject}: {denial(caller, act)}",
        details={key: value for key, value in details.items() if value},
    )
