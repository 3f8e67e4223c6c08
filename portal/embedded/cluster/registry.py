"""The practice registry's door: the read side of the OCI distribution API, without sign-in."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from portal.embedded.cluster.images import Blob, Image, Images

MOST_TAGS = 1000


def registry_app(images: Images) -> Starlette:
    """Return the ASGI application that serves these images."""
    door = _Door(images)
    read = ["GET", "HEAD"]
    return Starlette(
        routes=[
            Route("/v2/", door.version, methods=read),
            Route("/v2/_catalog", door.catalog, methods=read),
            Route("/v2/{name:path}/tags/list", door.tags, methods=read),
            Route("/v2/{name:path}/manifests/{reference}", door.manifest, methods=read),
            Route("/v2/{name:path}/blobs/{digest}", door.blob, methods=read),
        ]
    )


class _Door:
    def __init__(self, images: Images) -> None:
        self._images = images

    async def version(self, _request: Request) -> Response:
        return JSONResponse({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    async def catalog(self, _request: Request) -> Response:
        return JSONResponse({"repositories": sorted(self._images.by_repository)})

    async def tags(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = self._images.by_repository.get(name)
        if found is None:
            return _error(404, "NAME_UNKNOWN", "repository name not known to registry")
        tags = sorted(image.tag for image in found)
        last, wanted = request.query_params.get("last", ""), request.query_params.get("n", "")
        tags = [tag for tag in tags if tag > last]
        return JSONResponse({"name": name, "tags": tags[: int(wanted) if wanted.isdigit() else MOST_TAGS]})

    async def manifest(self, request: Request) -> Response:
        name, reference = request.path_params["name"], request.path_params["reference"]
        image = self._images.find(name, reference)
        if image is None:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return _answer(_named(image, reference))

    async def blob(self, request: Request) -> Response:
        name, digest = request.path_params["name"], request.path_params["digest"]
        for image in self._images.by_repository.get(name, []):
            for blob in image.blobs:
                if blob.digest == digest:
                    return _answer(blob)
        return _error(404, "BLOB_UNKNOWN", "blob unknown to registry")


def _named(image: Image, reference: str) -> Blob:
    manifests = {blob.digest: blob for blob in (image.index, *image.manifests)}
    return manifests.get(reference, image.index)


def _answer(blob: Blob) -> Response:
    headers = {"Docker-Content-Digest": blob.digest}
    return Response(blob.content, media_type=blob.media_type, headers=headers)


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status_code=status)
