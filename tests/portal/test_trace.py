"""One id from the click to the log and to whoever quotes a fault."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.test import Client
from structlog.contextvars import get_contextvars

from portal import jobs, logs, trace
from portal.people import queries
from portal.people.links import sign_in_path
from tests.people import Cast
from tests.portal.api import ApiClient


@contextmanager
def written(form: str) -> Iterator[io.StringIO]:
    """What a logger of its own writes in this form."""
    made = logs.configuration(form=form, level="DEBUG")
    kept = io.StringIO()
    handler = logging.StreamHandler(kept)
    chosen = dict(made["formatters"]["chosen"])
    handler.setFormatter(chosen.pop("()")(**chosen))
    own = logging.getLogger("tests.trace")
    own.addHandler(handler)
    own.setLevel(logging.DEBUG)
    yield kept
    own.removeHandler(handler)


def test_every_answer_names_its_own_trace(client: Client, db: None) -> None:
    first, second = (client.get("/livez")["X-Trace-Id"] for _again in range(2))
    assert len(first) == 32
    assert set(first) <= set("0123456789abcdef")
    assert first != second
    assert trace.current() == ""


def test_a_fault_is_quoted_by_the_beginning_of_its_trace(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    careless = Client(raise_request_exception=False)
    careless.force_login(cast.author)
    monkeypatch.setattr(queries, "roles_of", lambda _user: 1 / 0)
    answer = careless.get("/me/")
    assert answer.status_code == 500
    assert answer["X-Trace-Id"][:8] in answer.content.decode()
    assert answer["X-Trace-Id"][:8] in caplog.text


def test_the_log_tells_of_writes_by_route_and_never_the_secret_of_a_link(
    cast: Cast, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    link = sign_in_path(cast.author.username)
    with caplog.at_level(logging.DEBUG):
        client.post(link)
    line = next(record for record in caplog.records if record.name == "portal.api.tracing")
    assert line.getMessage() == "POST /sign-in/link/<str:token>/"
    assert link.strip("/").rpartition("/")[2] not in caplog.text


def test_json_is_one_object_a_line_with_what_is_bound(db: None) -> None:
    with written("json") as kept, trace.following("ab" * 16, rollout=7):
        logging.getLogger("tests.trace").info("step %s", "배포\nweb", extra={"status": 200})
        logging.getLogger("tests.trace").error("broke off", exc_info=ValueError("wrong"))
    told, broken = (json.loads(line) for line in kept.getvalue().splitlines())
    assert told["event"] == "step 배포\nweb"
    assert (told["trace"], told["rollout"], told["status"]) == ("ab" * 16, 7, 200)
    assert (told["level"], told["logger"]) == ("info", "tests.trace")
    assert told["timestamp"].endswith("Z")
    assert "ValueError: wrong" in broken["exception"]


def test_nobody_writes_a_second_line_or_moves_the_cursor() -> None:
    with written("line") as kept, trace.following("cd" * 16):
        logging.getLogger("tests.trace").warning(
            "tag %s", "x\nERROR portal forged \x1b[2J", extra={"b": "y\r", "color_message": "tag"}
        )
    lines = kept.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("WARNING tests.trace tag x\\u000aERROR portal forged \\u001b[2J ")
    assert lines[0].endswith(" b=y\\u000d")
    assert "color" not in lines[0]


def test_the_log_names_who_asked_and_forgets_them(cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    seen: set[object] = set()

    def note(_line: logging.LogRecord) -> bool:
        seen.add(get_contextvars().get("person"))
        return True

    caplog.handler.addFilter(note)
    with caplog.at_level(logging.DEBUG):
        ApiClient(cast.author).get("/me")
    assert "author" in seen
    assert "person" not in get_contextvars()


@pytest.mark.django_db(transaction=True)
def test_a_job_runs_under_a_trace_and_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setitem(jobs.JOBS, "tests.jobs.look", lambda: seen.append(trace.current()))
    jobs.run("tests.jobs.look")
    assert len(seen[0]) == 32
    assert trace.current() == ""
