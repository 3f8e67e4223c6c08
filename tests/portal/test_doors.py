"""Every address at once: closed to strangers unless listed; an auditor changes nothing through any."""

import json
import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from portal.audit.models import AuditEntry
from portal.people.auditors import OWN_PAGES
from tests.people import Cast
from tests.portal.api import BASE, ApiClient
from tests.soak import long

PUBLIC = {
    "livez",
    "readyz",
    "metrics",
    "api:openapi-json",
    "account_login",
    "account_logout",
    "account_inactive",
    "sign_in_link",
    "mfa_authenticate",
    "mfa_login_webauthn",
    "set_language",
}
SAMPLES = {"int": "1", "str": "x", "slug": "x", "path": "x", "uuid": "00000000-0000-0000-0000-000000000000"}
WRITES = ["POST", "PATCH", "PUT", "DELETE"]


def addresses() -> Iterator[tuple[str, str]]:
    """The name and a sample path of every address."""
    yield from _addresses(get_resolver().url_patterns, "/", "")


def _addresses(
    patterns: list[URLPattern | URLResolver], prefix: str, space: str
) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern).lstrip("^").rstrip("$")
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from _addresses(pattern.url_patterns, path, inner)
        else:
            yield f"{space}{pattern.name or ''}", _sample(path)


def _sample(path: str) -> str:
    path = re.sub(r"<(?:(\w+):)?\w+>", lambda match: SAMPLES.get(match[1] or "str", "x"), path)
    return re.sub(r"\(\?P<\w+>[^)]*\)", "x", path)


def writes_of_the_api() -> Iterator[tuple[str, str]]:
    """Method and sample path of every write in the API's document."""
    document = json.loads(Client().get(BASE + "/openapi.json").content)
    for path, operations in document["paths"].items():
        for method in operations:
            if method.upper() in WRITES:
                yield method.upper(), re.sub(r"\{[^}]+\}", "1", path).removeprefix(BASE)


@long
@pytest.mark.django_db
def test_every_address_asks_for_sign_in_or_is_listed_as_public() -> None:
    client = Client()
    open_to_all = set()
    for name, path in addresses():
        answer = client.get(path)
        if answer.status_code == 405:
            answer = client.generic(answer.headers["Allow"].split(",")[0], path)
        asks = answer.status_code == 401 or answer.headers.get("Location", "").startswith("/sign-in/?next=")
        if not asks and name != "api:api-root":
            open_to_all.add(name)
    assert open_to_all <= PUBLIC, open_to_all - PUBLIC


@pytest.mark.django_db
def test_no_address_of_the_admin_site_exists() -> None:
    assert Client().get("/admin/").status_code == 404
    assert not [name for name, _path in addresses() if name.startswith("admin:")]


@long
def test_an_auditor_changes_nothing_through_any_page(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.auditor)
    before = AuditEntry.objects.count()
    names = [pair for pair in addresses() if pair[0] not in OWN_PAGES and not pair[0].startswith("api:")]
    for name, path in names:
        status = client.post(path).status_code
        assert status in {403, 404, 405}, (name, status)
    for method in WRITES:
        assert client.generic(method, names[0][1]).status_code in {403, 405}
    assert AuditEntry.objects.count() == before
    assert len(names) > 5


@long
def test_an_auditor_changes_nothing_through_the_api(cast: Cast) -> None:
    by_token, by_session = ApiClient(cast.auditor), ApiClient(None)
    by_session.client.force_login(cast.auditor)
    before = AuditEntry.objects.count()
    writes = list(writes_of_the_api())
    for method, path in writes:
        for client in (by_token, by_session):
            assert client.send(method, path, {}).status_code == 403, (method, path)
    assert AuditEntry.objects.count() == before
    assert len(writes) >= 3


@pytest.mark.django_db
def test_every_answer_forbids_frames_and_foreign_scripts(client: Client) -> None:
    for path in ("/sign-in/", "/nothing-here/", "/api/v1/me", "/livez"):
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-inline" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
