"""API v1: the shell that the apps' routers are joined to."""

import json
from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser
from ninja.types import DictStrAny

from portal.api import audit, people, problems
from portal.api.auth import Credentials
from portal.api.schemas import Problem
from portal.api.strict import only_named


class StrictParser(Parser):
    """JSON as RFC 8259 has it, holding only characters that a row can store."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        """Read the body.

        Raises:
            ValueError: it is not JSON, holds NaN, a NUL or half a character, or one key twice.
        """
        read: DictStrAny = json.loads(request.body, parse_constant=_refuse_constant, object_pairs_hook=_once)
        if b"\\u" in request.body:
            if "\x00" in (text := json.dumps(read, ensure_ascii=False)) or "\\u0000" in text:
                raise ValueError("NUL")
            text.encode()  # a lone surrogate has no UTF-8
        return read


class PortalAPI(NinjaAPI):
    """Says in its document that everything may end in a problem."""

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        """Add the shape of a refusal to every operation."""
        schema = super().get_openapi_schema(**kwargs)
        problem = {"$ref": "#/components/schemas/Problem"}
        schema["components"].setdefault("schemas", {})["Problem"] = Problem.json_schema()
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"]["default"] = {
                    "description": "Refused",
                    "content": {problems.MEDIA_TYPE: {"schema": problem}},
                }
        return schema


def make_api() -> PortalAPI:
    """Build the shell with the routes of the ground; portal.urls joins those of the apps."""
    api = PortalAPI(
        title="Release portal",
        version="1",
        urls_namespace="api",
        docs_url=None,
        auth=Credentials(),
        parser=StrictParser(),
    )
    problems.install(api)
    api.add_decorator(only_named, mode="view")
    api.add_router("", people.router)
    api.add_router("", audit.router)
    return api


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("one key twice")
    return read
