"""From a request that is allowed to the verb on its object, and back to an answer."""

from collections.abc import Callable
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from portal.embedded.cluster import kinds, patch, reviews, scale, tables
from portal.embedded.cluster.bodies import parse_body, raw_body, read_body
from portal.embedded.cluster.cluster import Cluster
from portal.embedded.cluster.errors import (
    ApiError,
    bad_request,
    method_not_allowed,
    not_reached,
    unknown_path,
    unsupported_media_type,
)
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.objects import Options
from portal.embedded.cluster.paths import Target
from portal.embedded.cluster.reading import matcher, whole
from portal.embedded.cluster.selectors import selector_text
from portal.embedded.cluster.store import Object, key_of
from portal.embedded.cluster.streaming import WatchResponse

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
CUSTOM_PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)
WATCH_SECONDS = 1800


def _is_true(text: str | None) -> bool:
    return text in ("true", "1", "True")


class Verbs:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._objects = cluster.objects

    async def perform(self, request: Request, target: Target) -> Response:
        """Do what the request asks and say what came of it."""
        if target.subresource:
            return await self._below(request, target)
        match request.method:
            case "GET" | "HEAD":
                return self._read(request, target)
            case "POST" if not target.name:
                return await self._create(request, target)
            case "PUT" if target.name:
                return await self._replace(request, target)
            case "PATCH" if target.name:
                return await self._patch(request, target)
            case "DELETE":
                return await self._delete(request, target)
            case _:
                raise method_not_allowed()

    def _read(self, request: Request, target: Target) -> Response:
        kind, query = _kind(target), request.query_params
        as_table = "as=Table" in request.headers.get("accept", "")
        namespace = target.namespace if kind.namespaced else ""
        if target.name:
            return self._get(kind, target, query, as_table=as_table)
        if not _is_true(query.get("watch")):
            return JSONResponse(self._cluster.reader.list(kind, namespace, query=query, as_table=as_table))
        watch, first = self._cluster.reader.watch(kind, namespace, query=query, as_table=as_table)
        seconds = whole(query.get("timeoutSeconds", ""), name="timeoutSeconds") or WATCH_SECONDS
        bookmarks = _is_true(query.get("allowWatchBookmarks"))
        return WatchResponse(
            watch, first=first, seconds=seconds, bookmarks=bookmarks, watches=self._cluster.watches
        )

    def _get(self, kind: Kind, target: Target, query: QueryParams, *, as_table: bool) -> Response:
        self._cluster.reader.check_future(whole(query.get("resourceVersion", ""), name="resourceVersion"))
        item = self._objects.find(kind, *_address(target))
        if not as_table:
            return JSONResponse(_named(kind, item))
        metadata = {"resourceVersion": item["metadata"]["resourceVersion"]}
        include = query.get("includeObject", "Metadata")
        return JSONResponse(tables.table(kind, [item], metadata=metadata, include=include))

    async def _create(self, request: Request, target: Target) -> Response:
        kind, options = _kind(target), _options(request)
        body = await read_body(request)
        made = self._objects.create(kind, target.namespace if kind.namespaced else "", body, options=options)
        return _answer(_named(kind, made), options, code=201)

    async def _replace(self, request: Request, target: Target, *, subresource: str = "") -> Response:
        kind, options = _kind(target), _options(request)
        body = await read_body(request)
        new = self._objects.replace(
            kind, *_address(target), body=body, options=options, subresource=subresource
        )
        return _answer(_named(kind, new), options)

    async def _patch(self, request: Request, target: Target, *, subresource: str = "") -> Response:
        kind, options = _kind(target), _options(request)
        namespace, name = _address(target)
        type_, change = await _read_patch(request)
        if kind.custom and type_ == STRATEGIC_PATCH:
            raise unsupported_media_type(CUSTOM_PATCH_TYPES)
        if type_ == APPLY_PATCH:
            options.manager = request.query_params.get("fieldManager", "")
            item, is_new = self._objects.apply(kind, namespace, name, config=change, options=options)
            return _answer(_named(kind, item), options, code=201 if is_new else 200)

        def changed(item: Object) -> Object:
            if type_ == JSON_PATCH:
                return patch.json_patch(item, change, kind=kind, name=name)
            if type_ == MERGE_PATCH:
                merged: Object = patch.merge(item, change)
                return merged
            return patch.strategic(item, change, model=kind.model)

        new = self._objects.patch(
            kind, namespace, name, change=changed, options=options, subresource=subresource
        )
        return _answer(_named(kind, new), options)

    async def _delete(self, request: Request, target: Target) -> Response:
        kind, options = _kind(target), _options(request)
        _read_delete_options(await read_body(request), options)
        if target.name:
            return JSONResponse(_named(kind, self._objects.delete(kind, *_address(target), options=options)))
        match = matcher(kind, request.query_params)
        items = [item for item in self._cluster.store.every(kind, target.namespace) if match(item)]
        for item in items:
            self._objects.delete(kind, *key_of(item), options=options)
        metadata = {"resourceVersion": str(self._cluster.store.version)}
        listed = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        return JSONResponse({**listed, "items": items})

    async def _below(self, request: Request, target: Target) -> Response:
        kind = _kind(target)
        if target.subresource not in kind.subresources:
            raise unknown_path()
        if target.subresource == "scale":
            return await self._scale(request, target)
        if target.subresource in ("status", "finalize"):
            return await self._half(request, target)
        match request.method, target.subresource:
            case "GET", "log":
                return self._log(request, target)
            case "GET", "proxy":
                return self._proxy(target)
            case "POST", "token":
                account = self._objects.find(kind, *_address(target))
                body = await read_body(request)
                return JSONResponse(
                    reviews.token_request(self._cluster.tokens, account, body), status_code=201
                )
            case "POST", "eviction":
                return await self._evict(request, target)
            case _:
                raise method_not_allowed()

    async def _half(self, request: Request, target: Target) -> Response:
        """The status of an object, or a namespace's finalizers, written apart from the rest."""
        if request.method == "GET":
            return self._read(request, target)
        if request.method == "PUT":
            return await self._replace(request, target, subresource=target.subresource)
        if request.method == "PATCH" and target.subresource == "status":
            return await self._patch(request, target, subresource="status")
        raise method_not_allowed()

    async def _scale(self, request: Request, target: Target) -> Response:
        kind, options = _kind(target), _options(request)
        if request.method == "GET":
            return JSONResponse(scale.of(self._objects.find(kind, *_address(target))))
        wanted = await self._wanted_scale(request, target)
        new = self._objects.patch(
            kind,
            *_address(target),
            change=lambda old: scale.scaled(kind, old, wanted(scale.of(old))),
            options=options,
            subresource="scale",
        )
        return _answer(scale.of(new), options)

    async def _wanted_scale(self, request: Request, target: Target) -> Callable[[Object], Object]:
        """What a request makes of the Scale that is there once all of it has arrived."""
        if request.method == "PUT":
            body = await read_body(request)
            return lambda _present: body
        if request.method != "PATCH":
            raise method_not_allowed()
        type_, change = await _read_patch(request)
        if type_ == APPLY_PATCH:
            raise unsupported_media_type(PATCH_TYPES[:3])

        def patched(present: Object) -> Object:
            if type_ == JSON_PATCH:
                present["spec"].setdefault("replicas", 0)
                return patch.json_patch(present, change, kind=_kind(target), name=target.name)
            merged: Object = patch.merge(present, change)
            return merged

        return patched

    def _log(self, request: Request, target: Target) -> Response:
        query = request.query_params
        pod = self._objects.find(kinds.PODS, *_address(target))
        tail = whole(query["tailLines"], name="tailLines") if "tailLines" in query else None
        text = self._cluster.logs.read(
            pod,
            container=query.get("container", ""),
            previous=_is_true(query.get("previous")),
            tail=tail,
            timestamps=_is_true(query.get("timestamps")),
        )
        if "limitBytes" in query:
            text = text[: whole(query["limitBytes"], name="limitBytes")]
        return PlainTextResponse(text)

    def _proxy(self, target: Target) -> Response:
        """What the application in a pod answers, asked as `name` or `name:port`."""
        pod = self._objects.find(kinds.PODS, target.namespace, target.name.partition(":")[0])
        if (pod.get("status") or {}).get("phase") != "Running":
            raise not_reached(pod)
        code, type_, body = self._cluster.pages.page(pod, target.rest)
        return Response(body, status_code=code, media_type=type_)

    async def _evict(self, request: Request, target: Target) -> Response:
        """Delete a pod unless a disruption budget holds it."""
        body = await read_body(request)
        pod = self._objects.find(kinds.PODS, *_address(target))
        for budget in self._cluster.store.every(kinds.BUDGETS, target.namespace):
            if _protects(budget, pod):
                raise _budget_refusal(budget)
        options = _options(request)
        _read_delete_options(body.get("deleteOptions") or {}, options)
        self._objects.delete(kinds.PODS, *_address(target), options=options)
        return JSONResponse({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, 201)


def _kind(target: Target) -> Kind:
    if target.kind is None:
        raise unknown_path()
    return target.kind


def _address(target: Target) -> tuple[str, str]:
    return (target.namespace if _kind(target).namespaced else ""), target.name


def _named(kind: Kind, item: Object) -> Object:
    if item.get("kind") == "Status":
        return item
    return {"kind": kind.kind, "apiVersion": kind.api_version, **item}


def _answer(body: Any, options: Options, *, code: int = 200) -> Response:
    response = JSONResponse(body, status_code=code)
    for text in options.warnings:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.append("Warning", f'299 - "{escaped}"')
    return response


def _options(request: Request) -> Options:
    query = request.query_params
    if query.get("dryRun", "All") != "All":
        raise bad_request(f"dryRun: Unsupported value: {query['dryRun']!r}")
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        raise bad_request(f'fieldValidation: Unsupported value: "{validation}"')
    agent = request.headers.get("user-agent", "unknown").partition("/")[0]
    return Options(
        dry_run="dryRun" in query,
        manager=query.get("fieldManager") or agent or "unknown",
        validation=validation,
        force=_is_true(query.get("force")),
        propagation=query.get("propagationPolicy", ""),
        grace_seconds=whole(query["gracePeriodSeconds"], name="gracePeriodSeconds")
        if "gracePeriodSeconds" in query
        else None,
    )


def _read_delete_options(body: Object, options: Options) -> None:
    options.propagation = body.get("propagationPolicy") or options.propagation
    if body.get("gracePeriodSeconds") is not None:
        options.grace_seconds = int(body["gracePeriodSeconds"])
    if body.get("dryRun"):
        options.dry_run = True
    if body.get("orphanDependents") is not None and not options.propagation:
        options.propagation = "Orphan" if body["orphanDependents"] else "Background"
    options.preconditions = body.get("preconditions") or {}
    if options.propagation not in ("", "Orphan", "Background", "Foreground"):
        raise bad_request(f'propagationPolicy: Unsupported value: "{options.propagation}"')


async def _read_patch(request: Request) -> tuple[str, Any]:
    type_ = request.headers.get("content-type", "").partition(";")[0].strip()
    if type_ not in PATCH_TYPES:
        raise unsupported_media_type(PATCH_TYPES)
    change = parse_body(await raw_body(request), as_yaml=type_ == APPLY_PATCH)
    if type_ != JSON_PATCH and not isinstance(change, dict):
        raise bad_request("error decoding patch: the patch is no object")
    return type_, change


def _protects(budget: Object, pod: Object) -> bool:
    from_selector = matcher(kinds.PODS, {"labelSelector": selector_text(budget["spec"].get("selector"))})
    return from_selector(pod) and budget.get("status", {}).get("disruptionsAllowed", 0) < 1


def _budget_refusal(budget: Object) -> ApiError:
    name = budget["metadata"]["name"]
    cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {name} needs more healthy pods"}
    return ApiError(
        429,
        reason="TooManyRequests",
        message="Cannot evict pod as it would violate the pod's disruption budget.",
        details={"causes": [cause]},
    )
