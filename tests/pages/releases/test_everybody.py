"""Every page of a release opens for everybody who may see it, and for nobody else."""

import pytest
from django.urls import reverse

from portal.people.models import User
from tests.factories import Shop, make_release
from tests.pages.releases.conftest import Browse

READERS = ("author", "pl", "team_lead", "qa", "auditor", "administrator", "outsider")
PAGES = ("detail", "review", "edit", "submit", "withdraw", "duplicate", "announce", "close")


def user_of(shop: Shop, name: str) -> User:
    found = getattr(shop.cast, name)
    assert isinstance(found, User)
    return found


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("at", ["draft", "in_review", "approved"])
def test_the_pages_open_for_everybody_who_may_see(shop: Shop, browse: Browse, reader: str, at: str) -> None:
    release = make_release(shop, at=at)
    client = browse(user_of(shop, reader))
    for name in PAGES:
        answer = client.get(reverse(f"releases:{name}", args=[release.number]))
        assert answer.status_code == 200, name
        assert f"#{release.number}" in answer.content.decode(), name
    for verdict in ("approve", "send_back", "reject", "object"):
        url = reverse("releases:decide", args=[release.number, verdict])
        assert client.get(url).status_code == 200, verdict
    assert client.get(reverse("releases:list")).status_code == 200
    assert client.get(reverse("releases:new")).status_code == 200
