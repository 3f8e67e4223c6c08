"""Answers to "may I?": access reviews, and tokens for service accounts."""

from datetime import UTC, datetime
from typing import Any

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.access import Act, Authorizer, Caller, Tokens
from portal.embedded.cluster.errors import ApiError, bad_request, details_of
from portal.embedded.cluster.store import Object

SHORTEST_TOKEN_SECONDS = 600
USUAL_TOKEN_SECONDS = 3600


def access_review(authorizer: Authorizer, caller: Caller, body: Object) -> Object:
    """Whether the caller may do what the review describes."""
    spec = body.get("spec") or {}
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    if resource is None:
        path = path or {}
        act = Act(path.get("verb", ""), path=path.get("path", ""))
    else:
        given = {
            name: resource.get(name, "") for name in ("group", "resource", "subresource", "namespace", "name")
        }
        act = Act(resource.get("verb", ""), **given)
    status: dict[str, Any] = {"allowed": authorizer.allows(caller, act)}
    return {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": spec,
        "status": status,
    }


def rules_review(authorizer: Authorizer, caller: Caller, body: Object) -> Object:
    """Every rule that holds for the caller in a namespace."""
    namespace = (body.get("spec") or {}).get("namespace", "")
    everything: list[Object] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    rules = (
        everything
        if authorizer.allows(caller, Act("*", "*", "*"))
        else list(authorizer.rules(caller, namespace))
    )
    return {
        "kind": "SelfSubjectRulesReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {"namespace": namespace},
        "status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": False},
    }


def subject_review(caller: Caller) -> Object:
    info = {"username": caller.name, "groups": list(caller.groups)}
    return {
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": clock.stamp()},
        "status": {"userInfo": info},
    }


def token_request(tokens: Tokens, account: Object, body: Object) -> Object:
    """A new token of a service account.

    Raises:
        ApiError: 422 for a life shorter than ten minutes.
    """
    spec = body.get("spec") or {}
    seconds = spec.get("expirationSeconds") or USUAL_TOKEN_SECONDS
    if seconds < SHORTEST_TOKEN_SECONDS:
        raise _too_short(account["metadata"]["name"], seconds)
    token, expires = tokens.issue(account, seconds=seconds, audiences=spec.get("audiences") or [])
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": account["metadata"]["name"],
            "namespace": account["metadata"]["namespace"],
            "creationTimestamp": clock.stamp(),
        },
        "spec": {"audiences": [], **spec, "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": clock.stamp(datetime.fromtimestamp(expires, UTC))},
    }


def _too_short(name: str, seconds: int) -> ApiError:
    field, words = "spec.expirationSeconds", "may not specify a duration less than 10 minutes"
    message = f"Invalid value: {seconds}: {words}"
    causes = [{"reason": "FieldValueInvalid", "message": message, "field": field}]
    details = {**details_of(kinds.SERVICEACCOUNTS, name=name), "kind": "TokenRequest", "causes": causes}
    return ApiError(
        422,
        reason="Invalid",
        message=f'TokenRequest.authentication.k8s.io "{name}" is invalid: {field}: {message}',
        details={**details, "group": "authentication.k8s.io"},
    )
