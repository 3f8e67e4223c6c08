"""Every page of a release opens for everybody who may see it, and for nobody else."""

import pytest
from django.urls import reverse

from portal.people.models import User
from tests.factories import Shop, make_release
from tests.pages.releases.conftest import Browse
from tests.soak import long, soak

READERS = ("author", "pl", "team_lead", "qa", "auditor", "administrator", "outsider")
STATES = ("draft", "in_review", "approved")
PAGES = ("detail", "review", "edit", "submit", "withdraw", "duplicate", "announce", "close")
VERDICTS = ("approve", "send_back", "reject", "object")


def user_of(shop: Shop, name: str) -> User:
    found = getattr(shop.cast, name)
    assert isinstance(found, User)
    return found


@long
@pytest.mark.parametrize(
    ("at", "readers"),
    [
        ("draft", ("author", "auditor")),
        ("in_review", ("pl", "administrator", "team_lead")),
        ("approved", ("qa", "outsider")),
        *(pytest.param(at, READERS, marks=soak) for at in STATES),
    ],
)
def test_the_pages_open_for_everybody_who_may_see(
    shop: Shop, browse: Browse, at: str, readers: tuple[str, ...]
) -> None:
    release = make_release(shop, at=at)
    paths = [reverse(f"releases:{name}", args=[release.number]) for name in PAGES]
    paths.append(reverse("rollouts:proof", args=[release.number]))
    paths += [reverse("releases:decide", args=[release.number, verdict]) for verdict in VERDICTS]
    for reader in readers:
        client = browse(user_of(shop, reader))
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 200, (reader, path)
            page = answer.content.decode()
            assert f"#{release.number}" in page, (reader, path)
            assert page.count("<h1") == 1, (reader, path)


@pytest.mark.parametrize("reader", READERS)
def test_the_list_and_an_empty_draft_open_for_everybody(shop: Shop, browse: Browse, reader: str) -> None:
    client = browse(user_of(shop, reader))
    assert client.get(reverse("releases:list")).status_code == 200
    assert client.get(reverse("releases:new")).status_code == 200
