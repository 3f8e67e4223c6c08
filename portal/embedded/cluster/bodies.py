"""Reads request bodies: JSON, YAML, and kubectl's protobuf."""

import json
from typing import Any

import yaml
from starlette.requests import Request

from portal.embedded.cluster import protobuf
from portal.embedded.cluster.errors import ApiError, bad_request, unsupported_media_type

LARGEST_BODY = 3 * 1024 * 1024


async def read_body(request: Request) -> dict[str, Any]:
    """The object in a request's body, by its content type; none at all is an empty object.

    Raises:
        ApiError: 400 for what cannot be read, 413 for too much, 415 for an unknown type.
    """
    data = await raw_body(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if not data:
        return {}
    if kind == protobuf.CONTENT_TYPE:
        return protobuf.read(data)
    if kind not in ("", "application/json", "application/yaml", "*/*"):
        raise unsupported_media_type(["application/json", "application/yaml", protobuf.CONTENT_TYPE])
    found = parse_body(data, as_yaml=kind == "application/yaml")
    if not isinstance(found, dict):
        raise bad_request("couldn't get version/kind; json parse error: the body is no object")
    return found


async def raw_body(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LARGEST_BODY:
            message = f"Request entity too large: limit is {LARGEST_BODY}"
            raise ApiError(413, reason="RequestEntityTooLarge", message=message)
    return bytes(data)


def parse_body(data: bytes, *, as_yaml: bool = False) -> Any:
    try:
        return yaml.safe_load(data) if as_yaml else json.loads(data)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error
