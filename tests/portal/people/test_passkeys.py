"""Passkeys on the pages: enrolling, signing in, showing one again; who answers in whose place is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client, override_settings

from portal.audit.models import AuditEntry
from portal.people.models import Role, User
from portal.people.operations import create_person, deactivate_person, grant_role
from tests.passkeys import PLACE, Device, Json, options_on
from tests.people import BY_THE_PORTAL
from tests.portal.people.test_second_factor import FACTOR, FAST, PASSWORD, acts, code_of, english_of, enrolled
from tests.soak import long

pytestmark = pytest.mark.django_db(transaction=True)

AGAIN = f"{PLACE}reauthenticate/"
LOGIN = f"{PLACE}login/"


@pytest.fixture(autouse=True)
def people(db: None) -> Iterator[None]:
    cache.clear()
    with override_settings(PASSWORD_HASHERS=FAST):
        for name in ("minji", "hajun"):
            create_person(name, actor=BY_THE_PORTAL, name=name, password=PASSWORD)
        yield


def signed_in(username: str = "minji") -> Client:
    """A browser in which the person has just signed in and typed the password once more."""
    client = Client(headers={"accept-language": "en"})
    client.post("/sign-in/", {"login": username, "password": PASSWORD})
    client.post("/sign-in/again/", {"password": PASSWORD})
    return client


def enrol(username: str = "minji", **device: Any) -> tuple[Client, Device]:
    """Add a passkey of the person; return the browser and the device."""
    client, made = signed_in(username), Device(**device)
    answer = made.enrol(client)
    assert answer.headers["Location"] == f"{FACTOR}recovery-codes/", answer.content.decode()
    return client, made


def challenge(client: Client) -> Json:
    """What the sign-in page's script asks for."""
    options: Json = client.get(LOGIN, headers={"accept": "application/json"}).json()["request_options"]
    found: Json = options["publicKey"]
    return found


def send(client: Client, path: str, credential: Json, **more: str) -> Any:
    """Send what the device answered, as the script does."""
    return client.post(path, {"credential": json.dumps(credential), **more})


def is_in(client: Client) -> bool:
    return client.get("/me/").status_code == 200


@long
def test_a_passkey_signs_in_alone_and_leads_where_one_wanted_to_go() -> None:
    _mine, device = enrol()
    door = Client()
    answer = send(door, LOGIN, device.shown(challenge(door)), next="/me/")
    assert answer.headers["Location"] == "/me/"
    assert is_in(door)
    assert acts()[-2:] == ["factor.shown", "session.started"]
    shown = json.loads(AuditEntry.objects.get(action="factor.shown").body)
    assert (shown["after"], shown["subject"]["key"]) == ({"kind": "webauthn"}, "minji")


@long
def test_after_the_password_the_passkey_is_asked_for_and_a_recovery_code_will_do() -> None:
    client, device = enrol()
    codes = client.get(f"{FACTOR}recovery-codes/").content.decode()
    doors = [Client(), Client()]
    for door in doors:
        place = door.post("/sign-in/", {"login": "minji", "password": PASSWORD}).headers["Location"]
        assert place == f"{FACTOR}authenticate/"
        assert not is_in(door)
    send(doors[0], place, device.shown(options_on(doors[0], place)))
    doors[1].post(place, {"code": codes.split("<code>")[1].split("<")[0]})
    assert [is_in(door) for door in doors] == [True, True]


@long
def test_the_passkey_of_somebody_else_or_of_another_page_opens_nothing_and_is_recorded() -> None:
    mine, device = enrol()
    _his, other = enrol("hajun")
    stranger, place = Client(headers={"accept-language": "en"}), f"{FACTOR}authenticate/"
    stranger.post("/sign-in/", {"login": "minji", "password": PASSWORD})
    for answer in (
        other.shown(options_on(stranger, place)),
        device.shown(options_on(stranger, place), origin="https://portal.example"),
        device.shown({**options_on(stranger, place), "challenge": "AAAAAAAAAAAAAAAAAAAAAA"}),
    ):
        page = send(stranger, place, answer).content.decode()
        assert "This passkey does not fit" in page
        assert acts()[-1] == "session.refused"
    assert not is_in(stranger)
    assert send(mine, AGAIN, other.shown(options_on(mine, AGAIN))).status_code == 200


@long
def test_a_key_that_asks_for_no_finger_and_no_pin_is_not_taken_even_with_the_challenge_of_another_page() -> (
    None
):
    _mine, device = enrol()
    thief = signed_in("hajun")
    assert Device(verifies=False).enrol(thief).status_code == 200
    Device().enrol(thief)
    stolen = Device(verifies=False, key=device.key, owner=device.owner)
    door = Client()
    door.post("/sign-in/", {"login": "hajun", "password": PASSWORD})
    answer = stolen.shown(options_on(door, f"{FACTOR}authenticate/"))
    send(door, LOGIN, answer)
    send(door, f"{FACTOR}authenticate/", answer)
    assert not is_in(door)
    assert Authenticator.objects.filter(type="webauthn").count() == 2


@long
def test_an_answer_opens_the_door_once() -> None:
    _mine, device = enrol()
    door = Client()
    answer = device.shown(challenge(door))
    send(door, LOGIN, answer)
    door.post("/sign-out/")
    refused = send(door, LOGIN, answer, next="/me/")
    assert refused.headers["Location"] == "/sign-in/?next=%2Fme%2F"
    assert not is_in(door)


@long
def test_after_five_wrong_ones_not_even_the_right_one_is_tried() -> None:
    client, device = enrol()
    for _try in range(5):
        send(client, AGAIN, Device().shown(options_on(client, AGAIN)))
    answer = send(client, AGAIN, device.shown(options_on(client, AGAIN)))
    assert answer.status_code == 200
    assert "Too many" in answer.content.decode()


@long
def test_what_no_browser_writes_is_refused_at_every_form() -> None:
    client, _device = enrol()
    door = Client()
    for odd in ("", "{", "[]", '"x"', "null", '{"response": 1}', '{"response": {"userHandle": 7}}'):
        challenge(door)
        assert door.post(LOGIN, {"credential": odd}).status_code == 302
        for path in (AGAIN, f"{PLACE}add/"):
            assert client.post(path, {"credential": odd, "name": "x"}).status_code == 200


def test_a_closed_account_is_not_opened_by_its_passkey() -> None:
    _mine, device = enrol()
    deactivate_person("minji", actor=BY_THE_PORTAL)
    door = Client()
    assert send(door, LOGIN, device.shown(challenge(door))).headers["Location"] == "/sign-in/inactive/"
    assert not is_in(door)


@long
def test_the_page_lists_renames_and_removes_and_warns_of_the_last() -> None:
    client, _first = enrol()
    Device().enrol(client, "Ring")
    first, second = Authenticator.objects.filter(type="webauthn").order_by("pk")
    client.post(f"{PLACE}keys/{first.pk}/edit/", {"name": "Phone"})
    page = client.get(FACTOR).content.decode()
    assert "Phone" in page
    assert "Ring" in page
    assert "your last second factor" not in client.get(f"{PLACE}keys/{second.pk}/remove/").content.decode()
    client.post(f"{PLACE}keys/{second.pk}/remove/")
    assert "your last second factor" in client.get(f"{PLACE}keys/{first.pk}/remove/").content.decode()
    client.post(f"{PLACE}keys/{first.pk}/remove/")
    assert not Authenticator.objects.exists()
    assert acts()[-2:] == ["factor.removed", "factor.removed"]


@long
def test_nobody_touches_the_passkey_of_somebody_else() -> None:
    _mine, _device = enrol()
    his, _other = enrol("hajun")
    key = Authenticator.objects.get(user__username="minji", type="webauthn")
    for act in ("edit", "remove"):
        assert his.post(f"{PLACE}keys/{key.pk}/{act}/", {"name": "mine"}).status_code == 404
    assert Authenticator.objects.filter(pk=key.pk).exists()


def age(client: Client, seconds: int) -> None:
    """Let all that the session has seen be so much longer ago."""
    session = client.session
    session["account_authentication_methods"] = [
        {**each, "at": each["at"] - seconds} for each in session["account_authentication_methods"]
    ]
    session.save()


@long
def test_who_has_a_factor_shows_it_before_changing_factors_and_the_password_does_not_do() -> None:
    client, device = enrol()
    age(client, 301)
    for path in ("webauthn/add/", "totp/activate/", "recovery-codes/"):
        answer = client.get(FACTOR + path, follow=True)
        assert answer.redirect_chain[-1][0].startswith(AGAIN), path
    client.post("/sign-in/again/", {"password": PASSWORD})
    assert client.get(f"{PLACE}add/").status_code == 302
    answer = send(client, AGAIN, device.shown(options_on(client, AGAIN)), next=f"{PLACE}add/")
    assert answer.headers["Location"] == f"{PLACE}add/"
    assert client.get(f"{PLACE}add/").status_code == 200
    assert acts()[-1] == "factor.shown"


@long
def test_who_has_app_and_passkey_may_show_either() -> None:
    client = Client(headers={"accept-language": "en"})
    secret = enrolled(client)
    Device().enrol(client)
    page = client.get(f"{FACTOR}reauthenticate/?next=/me/").content.decode()
    assert f"{AGAIN}?next=" in page
    answer = client.post(f"{FACTOR}reauthenticate/", {"code": code_of(secret, steps=1), "next": "/me/"})
    assert answer.headers["Location"] == "/me/"


@long
def test_an_auditor_has_passkeys_too() -> None:
    grant_role("minji", role=Role.AUDITOR, scope="*", actor=BY_THE_PORTAL)
    client, device = enrol()
    answer = send(client, AGAIN, device.shown(options_on(client, AGAIN)), next="/me/")
    assert answer.headers["Location"] == "/me/"
    for path in ("", "recovery-codes/", "webauthn/add/"):
        assert client.get(FACTOR + path).status_code == 200, path


@override_settings(PASSKEY_ORIGIN="http://localhost:8000", PASSKEY_DOMAIN="localhost")
def test_at_a_number_the_pages_lead_to_the_name_of_this_machine() -> None:
    at_number, at_name = (Client(headers={"host": host}) for host in ("127.0.0.1:8000", "localhost:8000"))
    there = "http://localhost:8000/sign-in/?next=/me/"
    assert there in at_number.get("/sign-in/?next=/me/").content.decode()
    assert there not in at_name.get("/sign-in/?next=/me/").content.decode()
    assert challenge(at_number)["rpId"] == "localhost"


@long
def test_every_page_of_passkeys_is_korean_to_who_reads_korean() -> None:
    User.objects.update(language="ko")
    client, _device = enrol()
    key = Authenticator.objects.get(type="webauthn")
    places = ("", "webauthn/add/", f"webauthn/keys/{key.pk}/edit/", f"webauthn/keys/{key.pk}/remove/")
    pages = {
        path: client.get(FACTOR + path).content.decode() for path in (*places, "webauthn/reauthenticate/")
    }
    assert {path: english_of(page) for path, page in pages.items()} == {path: set() for path in pages}
