"""Signing in and a person's own page, through the browser's door."""

import pytest
from django.core.cache import cache
from django.test import Client

from portal.audit.models import AuditEntry
from portal.people import tokens
from portal.people.models import AccessToken, User
from portal.people.operations import create_person, deactivate_person
from tests.people import BY_THE_PORTAL, Cast
from tests.soak import long

PASSWORD = "correct-horse-7"


@pytest.fixture
def minji(db: None) -> User:
    cache.clear()
    return create_person("minji", actor=BY_THE_PORTAL, name="김민지", password=PASSWORD)


def sign_in(client: Client, password: str = PASSWORD) -> int:
    answer = client.post("/sign-in/?next=/me/", {"login": "minji", "password": password, "next": "/me/"})
    return answer.status_code


def last_act() -> tuple[str, str]:
    entry = AuditEntry.objects.latest("id")
    return entry.action, entry.subject


@long
def test_a_page_sends_a_stranger_to_sign_in_and_back(client: Client, minji: User) -> None:
    assert client.get("/me/").headers["Location"] == "/sign-in/?next=/me/"
    answer = client.post("/sign-in/", {"login": "minji", "password": PASSWORD, "next": "/me/"})
    assert answer.headers["Location"] == "/me/"
    assert client.get("/me/").status_code == 200


@long
def test_signing_in_and_out_is_recorded(client: Client, minji: User) -> None:
    sign_in(client)
    assert last_act() == ("session.started", "minji")
    client.post("/sign-out/")
    assert last_act() == ("session.ended", "minji")
    assert client.get("/me/").status_code == 302


@long
def test_a_get_does_not_sign_out(client: Client, minji: User) -> None:
    sign_in(client)
    assert client.get("/sign-out/").status_code == 200
    assert client.get("/me/").status_code == 200


@long
def test_a_wrong_password_is_recorded_without_what_was_typed(client: Client, minji: User) -> None:
    assert sign_in(client, "wrong") == 200
    assert last_act() == ("session.refused", "minji")
    client.post("/sign-in/", {"login": "my-secret-password", "password": "x"})
    assert last_act() == ("session.refused", "")
    assert not AuditEntry.objects.filter(body__contains="my-secret-password").exists()


@long
def test_the_sixth_wrong_password_in_a_quarter_of_an_hour_is_not_even_tried(
    client: Client, minji: User
) -> None:
    for _attempt in range(5):
        sign_in(client, "wrong")
    refused = AuditEntry.objects.filter(action="session.refused").count()
    assert sign_in(client) == 200
    assert client.get("/me/").status_code == 302
    assert AuditEntry.objects.filter(action="session.refused").count() == refused == 5


@long
def test_the_session_gets_a_new_key_at_sign_in(client: Client, minji: User) -> None:
    client.get("/sign-in/")
    session = client.session
    session["planted"] = "by a stranger"
    session.save()
    before = session.session_key
    sign_in(client)
    assert client.session.session_key != before


@long
def test_closing_the_account_ends_its_open_session(client: Client, minji: User) -> None:
    sign_in(client)
    deactivate_person("minji", actor=BY_THE_PORTAL)
    assert client.get("/me/").status_code == 302
    User.objects.filter(username="minji").update(is_active=True)
    assert client.get("/me/").status_code == 302


@long
def test_a_form_without_its_token_is_refused(minji: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(minji)
    answer = strict.post("/me/", {"language": "en"})
    assert answer.status_code == 403
    assert User.objects.get(username="minji").language == ""


def test_nobody_makes_an_account_for_themselves(client: Client, db: None) -> None:
    for path in ("/sign-up/", "/accounts/signup/"):
        assert client.post(path, {"username": "me", "password1": PASSWORD}).status_code == 404
    assert not User.objects.exists()


@long
def test_a_person_chooses_language_zone_and_theme(client: Client, minji: User) -> None:
    client.force_login(minji)
    wanted = {"language": "en", "time_zone": "Europe/Berlin", "theme": "dark", "keys_enabled": "on"}
    assert client.post("/me/", wanted).status_code == 302
    assert 'lang="en"' in client.get("/me/").content.decode()
    minji.refresh_from_db()
    assert (minji.language, minji.time_zone, minji.theme) == ("en", "Europe/Berlin", "dark")


@long
def test_a_wrong_zone_is_refused_with_the_form(client: Client, minji: User) -> None:
    client.force_login(minji)
    assert client.post("/me/", {"time_zone": "Moon/Base"}).status_code == 422


@long
def test_the_language_switch_works_signed_in_and_not(client: Client, minji: User) -> None:
    client.post("/language/", {"language": "en"})
    assert 'lang="en"' in client.get("/sign-in/").content.decode()
    client.force_login(minji)
    client.post("/language/", {"language": "ko"})
    assert 'lang="ko"' in client.get("/me/").content.decode()


@long
def test_a_token_is_shown_once_and_works(client: Client, minji: User) -> None:
    client.force_login(minji)
    page = client.post("/me/tokens/", {"name": "laptop", "scopes": ["read"], "days": "30"})
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert secret not in client.get("/me/").content.decode()
    assert tokens.authenticate(secret) is not None
    prefix = AccessToken.objects.get().prefix
    client.post(f"/me/tokens/{prefix}/revoke/")
    assert tokens.authenticate(secret) is None


def test_a_person_is_offered_only_scopes_they_may_use(client: Client, cast: Cast) -> None:
    client.force_login(cast.auditor)
    answer = client.post("/me/tokens/", {"name": "all", "scopes": ["decide"], "days": "30"})
    assert answer.status_code == 422
    assert not AccessToken.objects.exists()


@long
@pytest.mark.parametrize(
    "path", ["/sign-in/second-factor/", "/me/password/set/", "/sign-in/second-factor/totp/activate/"]
)
def test_pages_of_password_and_second_factor_open(client: Client, minji: User, path: str) -> None:
    sign_in(client)
    answer = client.get(path, follow=True)
    assert answer.status_code == 200
    assert "<main" in answer.content.decode()


@long
def test_an_open_page_of_htmx_reloads_when_the_session_is_over(client: Client, minji: User) -> None:
    answer = client.get("/me/", headers={"HX-Request": "true"})
    assert answer.headers["HX-Refresh"] == "true"
    assert not answer.has_header("Location")
