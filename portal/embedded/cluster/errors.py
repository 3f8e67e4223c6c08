"""The refusals of the API, worded as Kubernetes words them, because programs read these words."""

from collections.abc import Mapping, Sequence
from typing import Any

from portal.embedded.cluster.kinds import Kind

Cause = dict[str, str]


class ApiError(Exception):
    """One refused request; `body` is the Status object that answers it."""

    def __init__(
        self,
        code: int,
        *,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if not self.reason:
            del status["reason"]
        if self.details:
            status["details"] = self.details
        return status


def details_of(kind: Kind, *, name: str = "", **more: Any) -> dict[str, Any]:
    found = {"name": name, "group": kind.group, "kind": kind.plural, **more}
    return {key: value for key, value in found.items() if value not in ("", None)}


def not_found(kind: Kind, name: str) -> ApiError:
    message = f'{kind.resource} "{name}" not found'
    return ApiError(404, reason="NotFound", message=message, details=details_of(kind, name=name))


def not_reached(pod: Mapping[str, Any]) -> ApiError:
    address = (pod.get("status") or {}).get("podIP", "")
    message = f"error trying to reach service: dial tcp {address}: connect: connection refused"
    return ApiError(503, reason="ServiceUnavailable", message=message)


def unknown_path() -> ApiError:
    message = "the server could not find the requested resource"
    return ApiError(404, reason="NotFound", message=message)


def already_exists(kind: Kind, name: str) -> ApiError:
    message = f'{kind.resource} "{name}" already exists'
    return ApiError(409, reason="AlreadyExists", message=message, details=details_of(kind, name=name))


def conflict(kind: Kind, name: str, *, because: str = "") -> ApiError:
    because = because or (
        "the object has been modified; please apply your changes to the latest version and try again"
    )
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {because}'
    return ApiError(409, reason="Conflict", message=message, details=details_of(kind, name=name))


def forbidden(kind: Kind, name: str, *, because: str) -> ApiError:
    subject = f'{kind.resource} "{name}" is forbidden' if name else f"{kind.resource} is forbidden"
    return ApiError(
        403, reason="Forbidden", message=f"{subject}: {because}", details=details_of(kind, name=name)
    )


def unauthorized() -> ApiError:
    return ApiError(401, reason="Unauthorized", message="Unauthorized")


def bad_request(message: str) -> ApiError:
    return ApiError(400, reason="BadRequest", message=message)


def cause(field: str, *, message: str, reason: str = "FieldValueInvalid") -> Cause:
    return {"reason": reason, "message": message, "field": field}


def invalid(kind: Kind, name: str, *, causes: Sequence[Cause]) -> ApiError:
    """422 with one cause per broken rule."""
    parts = [f"{item['field']}: {item['message']}" for item in causes]
    listed = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    details = {"name": name, "group": kind.group, "kind": kind.kind, "causes": list(causes)}
    return ApiError(
        422,
        reason="Invalid",
        message=f'{qualified} "{name}" is invalid: {listed}',
        details={key: value for key, value in details.items() if value != ""},
    )


def unprocessable_patch(kind: Kind, name: str) -> ApiError:
    """A JSON patch whose test failed, or whose path is not there: Kubernetes tells them apart by nothing."""
    message = "the server rejected our request due to an error in our request"
    return ApiError(422, reason="Invalid", message=message, details=details_of(kind, name=name))


def expired(asked: int, *, oldest: int) -> ApiError:
    return ApiError(410, reason="Expired", message=f"too old resource version: {asked} ({oldest})")


def too_large(asked: int, *, current: int) -> ApiError:
    message = f"Too large resource version: {asked}, current: {current}"
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return ApiError(504, reason="Timeout", message=f"Timeout: {message}", details=details)


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, reason="MethodNotAllowed", message=message)


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(
        accepted
    )
    return ApiError(415, reason="UnsupportedMediaType", message=message)


def success(kind: Kind, *, name: str, uid: str) -> dict[str, Any]:
    """The Status object that answers a finished deletion."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details_of(kind, name=name, uid=uid),
    }
