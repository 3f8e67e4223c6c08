"""What every route refuses alike: parameters and bodies it does not know, and all talk of hidden things."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from ninja.operation import Operation

from portal.api.problems import malformed, problem
from portal.errors import Invalid, NotFound, field_error

Shape = TypeVar("Shape")
Run = Callable[..., HttpResponse]
Finder = Callable[[HttpRequest, Mapping[str, Any]], None]


# Routes that read the body themselves, as its signature is over its bytes.
RAW: set[Callable[..., Any]] = set()


def raw_body(view: Callable[..., Shape]) -> Callable[..., Shape]:
    """Decorate a route that checks and reads the body itself; put directly on the function."""
    RAW.add(view)
    return view


def only_named(run: Run) -> Run:
    """Decorate every route (mode "view"): a query parameter or a body that it does not name is refused.

    Who asks comes first: a stranger learns nothing about parameters.
    """
    operation = getattr(run, "__self__", None)
    assert isinstance(operation, Operation), "this decorator has to be the first"
    named = _query_names(operation)
    takes_body = _reads(operation, "body") or operation.view_func in RAW

    @wraps(run)
    def wrapper(request: HttpRequest, **values: Any) -> HttpResponse:
        if getattr(request, "refusal", None) is not None:
            return run(request, **values)
        try:
            unknown = sorted(set(request.GET) - named)
            unknown += [] if takes_body else _sent_in_vain(operation, request)
        except ValueError:
            return problem(malformed())
        if unknown:
            missing = [field_error(name, _("There is no such field.")) for name in unknown]
            return problem(Invalid(_("Some fields are wrong."), missing=missing))
        return run(request, **values)

    return wrapper


def hidden_first(find: Finder) -> Callable[[Run], Run]:
    """Decorate the routes of one thing (mode "view"): what may not be seen is not found, whatever was sent.

    Args:
        find: raises NotFound when the person may not see what the address names (rules.md, "Codes").
    """

    def decorate(run: Run) -> Run:
        @wraps(run)
        def wrapper(request: HttpRequest, **values: Any) -> HttpResponse:
            answer = run(request, **values)
            if answer.status_code in {400, 422}:
                try:
                    find(request, values)
                except NotFound as error:
                    return problem(error)
            return answer

        return wrapper

    return decorate


def _sent_in_vain(operation: Operation, request: HttpRequest) -> list[str]:
    """Fields of a body that nobody reads; an empty object and null are as good as nothing."""
    if not request.body:
        return []
    try:
        sent: object = operation.api.parser.parse_body(request)
    except RecursionError as error:
        raise ValueError("too deep") from error
    if isinstance(sent, dict):
        return sorted(sent)
    return ["body"] if sent is not None else []


def _query_names(operation: Operation) -> frozenset[str]:
    maps = [
        getattr(model, "__ninja_flatten_map__", {})
        for model in operation.models
        if model.__ninja_param_source__ == "query"
    ]
    return frozenset(name for names in maps for name in names)


def _reads(operation: Operation, source: str) -> bool:
    return any(model.__ninja_param_source__ == source for model in operation.models)
