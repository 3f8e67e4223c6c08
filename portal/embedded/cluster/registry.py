"""The practice registry's HTTP door: the reading side of the OCI distribution API."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from portal.embedded.cluster.images import Images, digest_of

API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


class Registry:
    """The ASGI application of the registry; no sign-in, no writing."""

    def __init__(self, images: Images) -> None:
        self._images = images

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = self._answer(request)
        if request.method == "HEAD":
            response = Response(status_code=response.status_code, headers=dict(response.headers))
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return _error(405, "UNSUPPORTED", "the operation is unsupported")
        path = request.url.path
        if path in ("/v2/", "/v2"):
            return JSONResponse({}, headers=API_VERSION)
        if path == "/v2/_catalog":
            names = sorted(self._images.tags)
            return _paged(request, "repositories", names, extra={})
        repository, verb, reference = _split(path)
        if repository not in self._images.tags:
            return _error(404, "NAME_UNKNOWN", "repository name not known to registry")
        return self._part(request, repository, verb=verb, reference=reference)

    def _part(self, request: Request, repository: str, *, verb: str, reference: str) -> Response:
        match verb:
            case "manifests":
                return self._manifest(repository, reference)
            case "blobs":
                return self._blob(repository, reference)
            case "tags":
                tags = sorted(self._images.tags[repository])
                return _paged(request, "tags", tags, extra={"name": repository})
            case _:
                return _error(404, "NAME_UNKNOWN", "repository name not known to registry")

    def _manifest(self, repository: str, reference: str) -> Response:
        found = self._images.manifest(repository, reference)
        if found is None:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown", detail={"Tag": reference})
        media_type, data = found
        headers = {**API_VERSION, "Docker-Content-Digest": digest_of(data), "ETag": f'"{digest_of(data)}"'}
        return Response(data, media_type=media_type, headers=headers)

    def _blob(self, repository: str, digest: str) -> Response:
        data = self._images.blobs.get((repository, digest))
        if data is None:
            return _error(404, "BLOB_UNKNOWN", "blob unknown to registry", detail=digest)
        headers = {**API_VERSION, "Docker-Content-Digest": digest}
        return Response(data, media_type="application/octet-stream", headers=headers)


def _split(path: str) -> tuple[str, str, str]:
    """Repository, what is asked of it, and the reference, of `/v2/a/b/manifests/1.0`."""
    parts = path.removeprefix("/v2/").split("/")
    if len(parts) < 3:
        return "", "", ""
    return "/".join(parts[:-2]), parts[-2], parts[-1]


def _paged(request: Request, name: str, found: list[str], *, extra: dict[str, str]) -> Response:
    last, count = request.query_params.get("last", ""), request.query_params.get("n", "")
    rest = [each for each in found if each > last]
    piece = rest[: int(count)] if count.isdigit() else rest
    headers = dict(API_VERSION)
    if len(piece) < len(rest) and piece:
        headers["Link"] = f'<{request.url.path}?n={count}&last={piece[-1]}>; rel="next"'
    return JSONResponse({**extra, name: piece}, headers=headers)


def _error(code: int, name: str, message: str, *, detail: object = None) -> Response:
    body = {"errors": [{"code": name, "message": message, "detail": detail}]}
    return JSONResponse(body, status_code=code, headers=API_VERSION)
