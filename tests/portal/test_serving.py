"""What a request is answered on: threads and connections that are used again, and leave nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import connection, connections

from portal import serving
from tests.portal import serving_urls

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.portal.serving_urls")]
Result = TypeVar("Result")


def begin(handler: serving.Handler, path: str) -> Any:
    """Open a request, without its body."""
    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    return ApplicationCommunicator(handler, scope)  # type: ignore[no-untyped-call]


async def ask(handler: serving.Handler, path: str) -> str:
    """Send a request and read its answer; wait until its thread is idle again."""
    request = begin(handler, path)
    await request.send_input({"type": "http.request"})
    start = await request.receive_output(5)
    assert start["status"] == 200
    body = await request.receive_output(5)
    await request.wait()
    while not handler.idle:
        await asyncio.sleep(0)
    return str(body["body"].decode())


def serve(what: Callable[[serving.Handler], Awaitable[Result]]) -> Result:
    """Let a handler of its own answer in an event loop."""

    async def all_of_it() -> Result:
        handler = serving.Handler()
        try:
            return await what(handler)
        finally:
            for thread in handler.idle:
                thread.submit(connections.close_all)

    return asyncio.run(all_of_it())


def test_one_request_after_the_other_uses_the_same_connection() -> None:
    async def asked(handler: serving.Handler) -> list[str]:
        return [await ask(handler, "/database/") for _each in range(3)]

    assert len(set(serve(asked))) == 1


def test_a_connection_that_the_server_ended_is_replaced_unnoticed() -> None:
    async def asked(handler: serving.Handler) -> list[str]:
        before = await ask(handler, "/database/")
        await asyncio.to_thread(_end, int(before))
        return [before, await ask(handler, "/database/")]

    before, after = serve(asked)
    assert before != after


def test_requests_at_once_do_not_wait_for_each_other() -> None:
    async def asked(handler: serving.Handler) -> list[str]:
        return list(await asyncio.gather(ask(handler, "/once/"), ask(handler, "/once/")))

    assert len(set(serve(asked))) == 2


def test_more_at_once_than_are_kept_leave_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "KEPT", 1)

    async def asked(handler: serving.Handler) -> int:
        await asyncio.gather(ask(handler, "/once/"), ask(handler, "/once/"))
        return len(handler.idle)

    assert serve(asked) == 1


def test_a_language_ends_with_its_request() -> None:
    async def asked(handler: serving.Handler) -> str:
        await ask(handler, "/english/")
        return await ask(handler, "/language/")

    assert serve(asked) == "ko"


def test_who_has_gone_away_holds_up_nobody() -> None:
    async def asked(handler: serving.Handler) -> str:
        gone = begin(handler, "/held/")
        await gone.send_input({"type": "http.request"})
        await asyncio.to_thread(serving_urls.HELD.wait, 5)
        await gone.send_input({"type": "http.disconnect"})
        answer = await ask(handler, "/language/")
        serving_urls.FREE.set()
        await gone.wait(5)
        return answer

    assert serve(asked) == "ko"


def _end(process: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
    connection.close()
