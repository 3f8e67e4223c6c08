"""Enrolling a second factor, signing in with it, losing the phone, and switching it off, on the pages."""

import re
import time
from collections.abc import Iterator

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client, override_settings

from portal.audit.models import AuditEntry
from portal.people.models import User
from portal.people.operations import create_person
from tests.people import BY_THE_PORTAL
from tests.soak import long

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct-horse-7"
FACTOR = "/sign-in/second-factor/"
FAST = ["django.contrib.auth.hashers.MD5PasswordHasher"]
NAMES = {"english"}  # of the languages to choose


@pytest.fixture(autouse=True)
def minji(db: None) -> Iterator[User]:
    cache.clear()
    with override_settings(PASSWORD_HASHERS=FAST):
        yield create_person(
            "minji", actor=BY_THE_PORTAL, name="김민지", email="minji@x.kr", password=PASSWORD
        )


def sign_in(client: Client) -> str:
    """Give the password; return where it leads."""
    answer = client.post("/sign-in/", {"login": "minji", "password": PASSWORD})
    return str(answer.headers["Location"])


def sign_in_again(client: Client) -> None:
    """Sign in and show at once that it is oneself, as every change of the second factor asks."""
    sign_in(client)
    client.post("/sign-in/again/", {"password": PASSWORD})


def enrolled(client: Client) -> str:
    """Switch the second factor on; return its key."""
    sign_in_again(client)
    page = client.get(f"{FACTOR}totp/activate/").content.decode()
    secret = re.search(r'class="key">([A-Z2-7]+)<', page)
    assert secret is not None
    assert "<svg" in page
    answer = client.post(f"{FACTOR}totp/activate/", {"code": code_of(secret[1])})
    assert answer.headers["Location"] == f"{FACTOR}recovery-codes/"
    return secret[1]


def code_of(secret: str, *, steps: int = 0) -> str:
    """What the app shows now, or so many half minutes from now."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def acts(*, after: int = 0) -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))[after:]


def recovery_codes(client: Client) -> list[str]:
    return re.findall(r"<code>(\d+)</code>", client.get(f"{FACTOR}recovery-codes/").content.decode())


@long
def test_the_password_alone_opens_nothing_once_it_is_on(client: Client) -> None:
    secret = enrolled(client)
    assert acts()[-2:] == ["factor.added", "factor.added"]
    stranger = Client()
    assert sign_in(stranger) == f"{FACTOR}authenticate/"
    assert stranger.get("/me/").status_code == 302
    answer = stranger.post(f"{FACTOR}authenticate/", {"code": code_of(secret, steps=1)})
    assert answer.status_code == 302
    assert stranger.get("/me/").status_code == 200
    assert acts()[-1] == "session.started"


@long
def test_a_wrong_code_is_refused_said_and_recorded(client: Client) -> None:
    secret = enrolled(client)
    stranger = Client(headers={"accept-language": "en"})
    sign_in(stranger)
    answer = stranger.post(f"{FACTOR}authenticate/", {"code": "000000"})
    assert "This code is not right" in answer.content.decode()
    assert acts()[-1] == "session.refused"
    assert stranger.post(f"{FACTOR}authenticate/", {"code": code_of(secret, steps=-5)}).status_code == 200
    assert stranger.get("/me/").status_code == 302


@long
def test_a_code_opens_the_door_once(client: Client) -> None:
    code = code_of(enrolled(client), steps=1)
    doors = [Client(), Client()]
    for door in doors:
        sign_in(door)
        door.post(f"{FACTOR}authenticate/", {"code": code})
    assert [door.get("/me/").status_code for door in doors] == [200, 302]


@long
def test_after_five_wrong_codes_not_even_the_right_one_is_tried(client: Client) -> None:
    secret = enrolled(client)
    stranger = Client(headers={"accept-language": "ko"})
    sign_in(stranger)
    for _try in range(5):
        stranger.post(f"{FACTOR}authenticate/", {"code": "000000"})
    answer = stranger.post(f"{FACTOR}authenticate/", {"code": code_of(secret, steps=1)})
    assert "잠시 후" in answer.content.decode()
    assert stranger.get("/me/").status_code == 302


@long
def test_a_recovery_code_opens_the_door_once(client: Client) -> None:
    enrolled(client)
    codes = recovery_codes(client)
    assert len(codes) == len(set(codes)) == 10
    doors = [Client(), Client()]
    for door in doors:
        sign_in(door)
        door.post(f"{FACTOR}authenticate/", {"code": codes[0]})
    assert [door.get("/me/").status_code for door in doors] == [200, 302]
    assert codes[0] not in recovery_codes(client)


@long
def test_new_recovery_codes_end_the_old_ones(client: Client) -> None:
    enrolled(client)
    old = recovery_codes(client)
    assert client.post(f"{FACTOR}recovery-codes/generate/").status_code == 302
    assert not set(old) & set(recovery_codes(client))
    assert acts()[-2:] == ["factor.removed", "factor.added"]


@long
def test_switching_off_asks_for_the_factor_and_leaves_the_password(client: Client) -> None:
    secret = enrolled(client)
    long_ago = client.session
    long_ago["account_authentication_methods"] = [
        {**each, "at": each["at"] - 3600} for each in long_ago["account_authentication_methods"]
    ]
    long_ago.save()
    again = f"{FACTOR}reauthenticate/"
    assert client.post(f"{FACTOR}totp/deactivate/").headers["Location"].startswith(again)
    client.post("/sign-in/again/", {"password": PASSWORD})
    assert client.post(f"{FACTOR}totp/deactivate/").headers["Location"].startswith(again)
    assert Authenticator.objects.exists()
    client.post(again, {"code": code_of(secret, steps=1)})
    client.post(f"{FACTOR}totp/deactivate/")
    assert not Authenticator.objects.exists()
    assert acts()[-2:] == ["factor.removed", "factor.removed"]
    other = Client()
    assert sign_in(other) == "/"
    assert other.get("/me/").status_code == 200


def test_a_wrong_code_at_enrolling_switches_nothing_on(client: Client) -> None:
    sign_in_again(client)
    client.get(f"{FACTOR}totp/activate/")
    assert client.post(f"{FACTOR}totp/activate/", {"code": "000000"}).status_code == 200
    assert not Authenticator.objects.exists()


def english_of(html: str) -> set[str]:
    """Latin words that a reader of the Korean page sees in its main part."""
    main = re.search(r"<main[^>]*>(.*)</main>", html, flags=re.DOTALL)
    assert main is not None
    drawn = re.sub(r"<svg.*?</svg>|<code.*?</code>|<[^>]*>", " ", main[1], flags=re.DOTALL)
    return {word.lower() for word in re.findall(r"[A-Za-z]{2,}", drawn)} - NAMES


@long
def test_every_page_of_an_account_is_korean_on_a_korean_browser(client: Client) -> None:
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "ko"
    stranger = Client(headers={"accept-language": "ko"})
    pages = [stranger.get("/sign-in/")]
    sign_in_again(client)
    pages += [
        client.get(path) for path in (f"{FACTOR}totp/activate/", "/me/password/", "/sign-in/again/", FACTOR)
    ]
    pages += [client.post(f"{FACTOR}totp/activate/", {"code": "000000"})]
    pages += [client.post("/me/password/", {"oldpassword": "x", "password1": "a", "password2": "b"})]
    enrolled(client)
    places = ("", "recovery-codes/", "recovery-codes/generate/", "totp/deactivate/", "reauthenticate/")
    pages += [client.get(f"{FACTOR}{place}") for place in places]
    sign_in(stranger)
    pages += [stranger.get(f"{FACTOR}authenticate/"), stranger.post(f"{FACTOR}authenticate/", {"code": "1"})]
    assert {page.request["PATH_INFO"]: english_of(page.content.decode()) for page in pages} == {
        page.request["PATH_INFO"]: set() for page in pages
    }
    assert {page.status_code for page in pages} == {200}


@long
def test_too_many_tries_are_answered_with_words(client: Client) -> None:
    sign_in(client)
    wrong = {"oldpassword": "x", "password1": "a", "password2": "a"}
    answers = [client.post("/me/password/", wrong) for _try in range(6)]
    assert answers[-1].status_code == 429
    assert "<h1>" in answers[-1].content.decode()
