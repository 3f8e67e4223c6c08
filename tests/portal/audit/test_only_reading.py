"""What an auditor's reading request would write, the database itself refuses."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal import clock
from portal.audit import queries
from portal.audit.models import ChainCheck
from tests.people import Cast
from tests.portal.api import ApiClient

READ = queries.last_check, queries.entries


@pytest.fixture(autouse=True)
def writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reading the record leave a trace, by some fault of ours."""

    def writing(read: Any) -> Any:
        def found(*args: Any) -> Any:
            ChainCheck.objects.create(at=clock.now(), entries=0, head="")
            return read(*args)

        return found

    assert reverse(
        "audit:list"
    )  # everything that imports these functions has done so before they are replaced
    for read in READ:
        monkeypatch.setattr(queries, read.__name__, writing(read))


@pytest.mark.parametrize(("who", "status"), [("administrator", 200), ("auditor", 503)])
def test_a_page_and_the_api_write_for_nobody_who_only_reads(cast: Cast, who: str, status: int) -> None:
    user = getattr(cast, who)
    client = Client()
    client.force_login(user)
    assert client.get("/audit/").status_code == status
    assert ApiClient(user).get("/audit").status_code == status
    assert ChainCheck.objects.exists() is (status == 200)
    ChainCheck.objects.create(at=clock.now(), entries=0, head="")  # the connection writes for others again
