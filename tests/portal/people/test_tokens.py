"""Personal tokens: cut to their owner's rights, dead at once."""

from datetime import timedelta

import pytest

from portal import clock
from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.errors import Invalid, NotAllowed, NotFound
from portal.people import tokens
from portal.people.models import AccessToken, Role
from portal.people.operations import deactivate_person, revoke_role
from tests.people import BY_THE_PORTAL, Cast, acting


def test_a_token_is_known_by_its_secret_which_is_stored_nowhere(cast: Cast) -> None:
    token, secret = tokens.create_token(actor=acting(cast.author), name="laptop")
    found = tokens.authenticate(secret)
    assert found is not None
    assert found[0] == cast.author
    assert secret.startswith("rp_")
    stored = [
        *AccessToken.objects.values_list("hashed", "prefix", "name"),
        *AuditEntry.objects.values_list("body"),
    ]
    assert all(secret not in text for row in stored for text in row)
    assert token.scopes == ["read", "compose", "operate"]


def test_scopes_are_cut_to_what_the_owner_may(cast: Cast) -> None:
    everything = tokens.SCOPES
    reach = {
        who: set(
            tokens.create_token(actor=acting(getattr(cast, who)), name="all", scopes=everything)[0].scopes
        )
        for who in ("author", "infra_senior", "auditor", "administrator", "outsider")
    }
    assert reach == {
        "author": {"read", "compose", "operate", "decide"},
        "infra_senior": {"read", "operate", "decide"},
        "auditor": {"read"},
        "administrator": {"read", "operate", "decide", "admin"},
        "outsider": {"read", "decide"},
    }


def test_scopes_shrink_with_a_role_that_was_lost(cast: Cast) -> None:
    _token, secret = tokens.create_token(actor=acting(cast.author), name="laptop")
    revoke_role("author", role=Role.RELEASE_MANAGER, scope="team:commerce", actor=BY_THE_PORTAL)
    found = tokens.authenticate(secret)
    assert found is not None
    assert found[2] == {"read"}


def test_a_revoked_token_is_dead(cast: Cast) -> None:
    token, secret = tokens.create_token(actor=acting(cast.author), name="laptop")
    tokens.revoke_token(token.prefix, actor=acting(cast.author))
    assert tokens.authenticate(secret) is None


def test_tokens_of_a_closed_account_are_dead(cast: Cast) -> None:
    _token, secret = tokens.create_token(actor=acting(cast.author), name="laptop")
    deactivate_person("author", actor=BY_THE_PORTAL)
    assert tokens.authenticate(secret) is None


def test_an_expired_token_is_dead(cast: Cast) -> None:
    soon = clock.now() + timedelta(minutes=1)
    token, secret = tokens.create_token(actor=acting(cast.author), name="laptop", expires_at=soon)
    assert tokens.authenticate(secret) is not None
    AccessToken.objects.filter(pk=token.pk).update(expires_at=clock.now() - timedelta(seconds=1))
    assert tokens.authenticate(secret) is None


def test_a_token_makes_no_tokens(cast: Cast) -> None:
    actor = Actor(user=cast.author, door="api", token="rp_one", scopes=frozenset({"read"}))
    with pytest.raises(NotAllowed):
        tokens.create_token(actor=actor, name="another")


def test_a_token_ends_within_a_year(cast: Cast) -> None:
    for moment in (clock.now() - timedelta(days=1), clock.now() + timedelta(days=800)):
        with pytest.raises(Invalid):
            tokens.create_token(actor=acting(cast.author), name="laptop", expires_at=moment)


def test_nobody_revokes_the_token_of_another(cast: Cast) -> None:
    token, secret = tokens.create_token(actor=acting(cast.author), name="laptop")
    with pytest.raises(NotFound):
        tokens.revoke_token(token.prefix, actor=acting(cast.pl))
    assert tokens.authenticate(secret) is not None


@pytest.mark.django_db
@pytest.mark.parametrize("bearer", ["", "rp_", "rp_" + "0" * 55, "x" * 5000, "rp_\x00"])
def test_a_secret_that_was_never_given_is_nobody(bearer: str) -> None:
    assert tokens.authenticate(bearer) is None


def test_a_secret_with_one_letter_changed_is_nobody(cast: Cast) -> None:
    _token, secret = tokens.create_token(actor=acting(cast.author), name="laptop")
    changed = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    assert tokens.authenticate(changed) is None
