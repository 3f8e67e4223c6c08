"""Who may watch boards, releases and rollouts, and when the tap closes."""

import asyncio

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from portal.live import queries
from portal.people.models import User
from portal.people.operations import revoke_role
from releases.catalog import rights
from tests.factories import Shop, make_release, make_shop, roll_out
from tests.people import BY_THE_PORTAL
from tests.portal.live.browser import awrite, browser, session_of
from tests.soak import long


def make_private(shop: Shop) -> list[str]:
    """Hide the environment from all but its own people; the topics of what is in it."""
    with transaction.atomic():
        release = make_release(shop, at="approved")
        rollout = roll_out(release, shop)
    shop.environment.spec = {"visibility": "private"}
    shop.environment.save(update_fields=["spec"])
    rights.grant()
    return [f"board.{shop.environment.name}", f"release.{release.number}", f"rollout.{rollout.pk}"]


@long
@pytest.mark.django_db
def test_what_is_private_is_watched_by_its_own_people_only() -> None:
    shop = make_shop()
    topics = make_private(shop)
    people = [shop.cast.qa, shop.cast.auditor, shop.cast.director, shop.cast.pl, shop.cast.outsider]
    own = {user.pk for user in people} - {shop.cast.qa.pk, shop.cast.outsider.pk}
    allowed = queries.allowed_streams(dict.fromkeys(topics, people))
    assert {topic: set(streams) for topic, streams in allowed.items()} == dict.fromkeys(topics, own)
    assert all(set(streams.values()) == {topic} for topic, streams in allowed.items())


@long
@pytest.mark.django_db
def test_many_people_are_asked_for_in_as_many_queries_as_one() -> None:
    shop = make_shop()
    topics = make_private(shop)
    everybody = list(User.objects.all())

    def count(people: list[User]) -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            queries.allowed_streams(dict.fromkeys(topics, people))
        return len(asked)

    assert count([shop.cast.pl])  # content types are remembered from now on
    assert count(everybody) == count([shop.cast.pl])


@pytest.mark.parametrize(
    "topic", ["board.nowhere", "release.0", "release.x", "rollout.0", f"rollout.{10**30}"]
)
@pytest.mark.django_db
def test_what_is_not_there_is_watched_by_nobody(topic: str) -> None:
    shop = make_shop()
    assert queries.allowed_streams({topic: [shop.cast.director]}) == {topic: {}}


@long
@pytest.mark.django_db(transaction=True)
def test_a_role_that_is_taken_back_closes_its_topics_within_two_seconds() -> None:
    shop = make_shop()
    topics = make_private(shop)
    key = session_of(shop.cast.director)

    async def follow() -> None:
        async with browser(key) as socket:
            for topic in topics:
                await socket.subscribe(topic)
                await awrite(topic)
            heard: set[str] = set()
            while heard != set(topics):
                heard.add((await socket.frame())["topic"])
            await sync_to_async(revoke_role)("director", role="director", scope="*", actor=BY_THE_PORTAL)
            async with asyncio.timeout(2):
                while heard:
                    frame = await socket.frame()
                    heard -= {frame["topic"]} if "closed" in frame else set()

    async_to_sync(follow)()
