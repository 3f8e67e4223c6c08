"""The pages of people: who reads and who acts, and what each act ends."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from portal.administration.operations import reset_second_factor
from portal.administration.queries import consequences
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed
from portal.outbox.models import Message
from portal.people.models import AccessToken, User
from tests.delegating import give
from tests.factories import Shop, decide, make_release
from tests.people import Cast, acting
from tests.portal.api import ApiClient
from tests.soak import long

PL = ("pl", "service:shopping-service")
PEOPLE = "/settings/people/"
ACTS = ("close", "open", "end-sessions", "reset-factors")


def browse(user: User) -> Client:
    """A browser in English in which the person is signed in."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def last() -> tuple[str, str, str]:
    entry = AuditEntry.objects.latest("id")
    return entry.action, entry.actor, entry.subject


@long
def test_administrators_and_auditors_read_and_nobody_else(cast: Cast) -> None:
    for user, status in ((cast.administrator, 200), (cast.auditor, 200), (cast.team_lead, 403)):
        client = browse(user)
        for path in (PEOPLE, f"{PEOPLE}pl/"):
            assert client.get(path).status_code == status, (user, path)
    assert browse(cast.administrator).get(f"{PEOPLE}nobody/").status_code == 404


@long
@pytest.mark.parametrize("who", ["auditor", "team_lead", "outsider"])
def test_only_administrators_act(cast: Cast, who: str) -> None:
    _client, token = ApiClient(cast.pl), AccessToken.objects.get()
    client = browse(getattr(cast, who))
    before = AuditEntry.objects.count()
    for path in (*ACTS, f"tokens/{token.prefix}/revoke", "roles", "roles/end"):
        assert client.get(f"{PEOPLE}pl/{path}/").status_code in {403, 405}, path
        assert client.post(f"{PEOPLE}pl/{path}/", {"reason": "x"}).status_code == 403, path
    cast.pl.refresh_from_db()
    assert cast.pl.is_active
    assert AuditEntry.objects.count() == before


@long
def test_the_page_names_roles_delegations_tokens_and_factors(cast: Cast) -> None:
    ApiClient(cast.pl)
    give(cast.pl, cast.outsider, *PL)
    TOTP.activate(cast.pl, generate_totp_secret())
    page = text_of(browse(cast.administrator), f"{PEOPLE}pl/")
    token = AccessToken.objects.get()
    for expected in ("shopping-service", "The portal", "Outsider for Pl", token.prefix, "Authenticator app"):
        assert expected in page, expected
    assert token.hashed not in page
    read = text_of(browse(cast.auditor), f"{PEOPLE}pl/")
    assert "Authenticator app" in read
    assert "button-danger" not in read


@long
def test_the_list_is_searched_and_filtered(cast: Cast) -> None:
    client = browse(cast.administrator)
    client.post(f"{PEOPLE}outsider/close/")
    assert f'href="{PEOPLE}outsider/"' in text_of(client, f"{PEOPLE}?standing=closed")
    assert f'href="{PEOPLE}pl/"' not in text_of(client, f"{PEOPLE}?standing=closed")
    assert f'href="{PEOPLE}pl/"' in text_of(client, f"{PEOPLE}?text=pl&standing=open")
    assert "Nobody is called like this" in text_of(client, f"{PEOPLE}?text=zzz")


def test_ending_sessions_signs_out_everywhere_and_keeps_tokens(cast: Cast) -> None:
    theirs, program = browse(cast.pl), ApiClient(cast.pl)
    browse(cast.administrator).post(f"{PEOPLE}pl/end-sessions/", {"reason": "Lost laptop"})
    assert theirs.get("/me/").status_code == 302
    assert program.get("/me").status_code == 200
    assert last() == ("session.all_ended", "administrator", "pl")


def test_a_token_of_somebody_is_revoked(cast: Cast) -> None:
    program = ApiClient(cast.pl)
    prefix = AccessToken.objects.get().prefix
    client = browse(cast.administrator)
    assert client.post(f"{PEOPLE}qa/tokens/{prefix}/revoke/").status_code == 404
    assert client.post(f"{PEOPLE}pl/tokens/{prefix}/revoke/").status_code == 302
    assert program.get("/me").status_code == 401
    assert last() == ("token.revoked", "administrator", prefix)


def test_resetting_factors_needs_a_reason_ends_sessions_and_is_told(cast: Cast) -> None:
    client, theirs = browse(cast.administrator), browse(cast.pl)
    TOTP.activate(cast.pl, generate_totp_secret())
    path = f"{PEOPLE}pl/reset-factors/"
    assert client.post(path).status_code == 422
    assert Authenticator.objects.filter(user=cast.pl).exists()
    assert client.post(path, {"reason": "Lost phone"}).status_code == 302
    assert not Authenticator.objects.filter(user=cast.pl).exists()
    assert theirs.get("/me/").status_code == 302
    assert last() == ("factor.reset", "administrator", "pl")
    message = Message.objects.get(kind="account")
    assert message.person == cast.pl
    assert "Lost phone" in message.body
    assert client.post(path, {"reason": "Again"}).status_code == 409


def test_nobody_resets_their_own_factors_so(cast: Cast) -> None:
    TOTP.activate(cast.administrator, generate_totp_secret())
    with pytest.raises(NotAllowed):
        reset_second_factor("administrator", actor=acting(cast.administrator), reason="x")
    with pytest.raises(Invalid):
        reset_second_factor("pl", actor=acting(cast.administrator), reason="")
    with pytest.raises(Conflict):
        reset_second_factor("pl", actor=acting(cast.administrator), reason="x")


@long
def test_closing_says_before_what_it_would_cost(shop: Shop) -> None:
    give(shop.cast.pl, shop.cast.outsider, *PL)
    waiting = make_release(shop, at="in_review")
    client = browse(shop.cast.administrator)
    page = text_of(client, f"{PEOPLE}pl/close/")
    assert f"#{waiting.number} Shopping 2.8.0: nobody could decide as Project lead" in page
    assert "Outsider no longer decides for Pl" in page
    assert [each.grave for each in consequences(shop.cast.pl)] == [True, False]
    assert consequences(shop.cast.qa) == []
    decide(waiting, shop.cast.pl)
    assert [each.grave for each in consequences(shop.cast.pl)] == [True, False]
    assert client.post(f"{PEOPLE}pl/close/", {"reason": "Has left"}).status_code == 302
    assert "The account is closed." in text_of(client, f"{PEOPLE}pl/")
    assert client.post(f"{PEOPLE}pl/open/").status_code == 302
    assert last() == ("person.activated", "administrator", "pl")
    assert "holds no role" in text_of(client, f"{PEOPLE}pl/")
    assert client.post(f"{PEOPLE}administrator/close/").status_code == 403


@long
def test_roles_are_given_and_ended(cast: Cast) -> None:
    client, roles = browse(cast.administrator), f"{PEOPLE}outsider/roles/"
    assert client.post(roles, {"role": "qa", "scope": "*"}).status_code == 302
    assert last() == ("role.granted", "administrator", "outsider")
    wrong = client.post(roles, {"role": "pl", "scope": "team:nowhere"})
    assert (wrong.status_code, "There is nothing of this name" in wrong.content.decode()) == (422, True)
    end = f"{roles}end/?role=qa&scope=%2A"
    assert end.replace("&", "&amp;") in text_of(client, f"{PEOPLE}outsider/")
    assert "count no more" in text_of(client, end)
    assert client.post(end, {"reason": "Moved"}).status_code == 302
    assert last() == ("role.revoked", "administrator", "outsider")
    assert client.get(end).status_code == 404
    assert client.post(f"{PEOPLE}administrator/roles/", {"role": "qa", "scope": "*"}).status_code == 403
