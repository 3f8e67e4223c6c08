"""The audit log of the practice cluster says what was asked, as the real API server's does."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import Json, Refused
from tests.cluster.objects import Space, config_map
from tests.practice.conftest import Practice
from tests.soak import long


@long
def test_every_request_is_a_line_that_says_who_asked_for_what_and_when(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    practice = Practice(tmp_path, options=("--audit-log", str(log)))
    practice.start()
    api = practice.api
    try:
        space = Space(api, "default")
        before = datetime.now(UTC)
        space.create(config_map("settings", a="1"))
        space.patch("configmaps", "settings", {"data": {"a": "2"}})
        with pytest.raises(Refused):
            space.get("configmaps", "none")
        list(api.watch("api/v1/namespaces/default/configmaps", seconds=1))
        after = datetime.now(UTC)
    finally:
        api.close()
        practice.end()
    told = [each for each in map(json.loads, log.read_text().splitlines()) if _is_ours(each)]
    assert [(each["verb"], each["responseStatus"]["code"], each["stage"]) for each in told] == [
        ("create", 201, "ResponseComplete"),
        ("patch", 200, "ResponseComplete"),
        ("get", 404, "ResponseComplete"),
        ("watch", 200, "ResponseStarted"),
    ]
    assert [each["objectRef"].get("name", "") for each in told] == ["", "settings", "none", ""]
    assert {each["objectRef"]["namespace"] for each in told} == {"default"}
    assert told[3]["requestURI"].startswith("/api/v1/namespaces/default/configmaps?")
    times = [_moment(each[name]) for each in told for name in ("requestReceivedTimestamp", "stageTimestamp")]
    assert times == sorted(times)
    assert before - timedelta(milliseconds=1) <= times[0] <= times[-1] <= after


def _is_ours(event: Json) -> bool:
    return bool((event.get("objectRef") or {}).get("resource") == "configmaps")


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(text)


@long
def test_a_full_disk_keeps_nobody_from_an_answer(tmp_path: Path) -> None:
    practice = Practice(tmp_path, options=("--audit-log", "/dev/full"))
    practice.start()
    api = practice.api
    try:
        space = Space(api, "default")
        space.create(config_map("settings", a="1"))
        assert space.get("configmaps", "settings")["data"] == {"a": "1"}
    finally:
        api.close()
        practice.end()
