"""An event is believed for its signature, and for nothing else; what it says is read from what was signed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import Invalid, PermanentError
from portal.integrations.hooks import events, signatures
from portal.integrations.hooks.events import CiEvent
from tests.releases.pipeline.signing import SECRET, github, standard
from tests.soak import long, many, repeated

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BODY = b'{"a": 1}'


def check(headers: dict[str, str], body: bytes = BODY, *secrets: str) -> str:
    return signatures.standard_webhook(headers, body, secrets=secrets or (SECRET,), now=NOW)


def test_what_is_signed_is_believed() -> None:
    signed = standard(BODY, at=int(NOW.timestamp()))
    several = {**signed, "webhook-signature": f"v1,AAAA {signed['webhook-signature']}"}

    assert check(signed) == check(several) == "d1"
    assert check(signed, BODY, "another", SECRET) == "d1"
    one, again = (signatures.github(github(BODY, delivery=name), BODY, secrets=[SECRET]) for name in "ab")
    assert one == again != signatures.github(github(b"{}"), b"{}", secrets=[SECRET])


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_without_one_of_its_headers_it_is_refused(name: str) -> None:
    signed = standard(BODY, at=int(NOW.timestamp()))
    del signed[name]

    with pytest.raises(PermanentError) as refused:
        check(signed)
    assert refused.value.code == "bad_signature"


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_event_and_one_from_the_future_are_refused(seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    with pytest.raises(PermanentError):
        check(standard(BODY, at=int(at.timestamp())))


@repeated
@many
@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_other_body_has_the_signature_of_one(one: bytes, other: bytes) -> None:
    signed = standard(one, at=int(NOW.timestamp()))
    if one == other:
        assert check(signed, other) == "d1"
        return
    with pytest.raises(PermanentError):
        check(signed, other)
    with pytest.raises(PermanentError):
        signatures.github(github(one), other, secrets=[SECRET])


@long
@repeated
@many
@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()))
def test_odd_headers_are_refused_and_are_no_fault_of_ours(headers: dict[str, str]) -> None:
    with pytest.raises(PermanentError):
        check(headers)


def gitlab_push(**changes: Any) -> dict[str, Any]:
    return {
        "object_kind": "push",
        "ref": "refs/heads/main",
        "checkout_sha": "c0ffee",
        "user_username": "minji",
        "project": {"path_with_namespace": "shop/shop"},
        **changes,
    }


def github_push(**changes: Any) -> dict[str, Any]:
    return {
        "ref": "refs/heads/main",
        "after": "abc",
        "head_commit": {"id": "c0ffee"},
        "sender": {"login": "minji"},
        "repository": {"full_name": "shop/shop"},
        **changes,
    }


def test_a_push_is_read_alike_from_both() -> None:
    expected = CiEvent(kind="push", repository="shop/shop", ref="main", commit="c0ffee", by="minji")

    assert events.of_gitlab(gitlab_push()) == events.of_github(github_push()) == expected


def test_a_branch_that_is_called_like_a_tag_stays_a_branch() -> None:
    push = events.of_github(github_push(ref="refs/heads/refs/tags/v1"))
    posing = events.of_gitlab(gitlab_push(object_kind="tag_push", ref="refs/heads/v1"))
    tag = events.of_gitlab(gitlab_push(object_kind="tag_push", ref="refs/tags/v1"))

    assert push is not None
    assert (push.kind, push.ref) == ("push", "refs/tags/v1")
    assert posing is None
    assert tag is not None
    assert (tag.kind, tag.ref) == ("tag", "v1")


@pytest.mark.parametrize(
    "body",
    [
        {"object_kind": "note"},
        gitlab_push(checkout_sha=None),
        gitlab_push(ref="main"),
        gitlab_push(project=None),
        gitlab_push(ref="refs/heads/a\u0000b"),
    ],
)
def test_what_starts_nothing_is_left_alone(body: dict[str, Any]) -> None:
    assert events.of_gitlab(body) is None


@pytest.mark.parametrize("body", [github_push(deleted=True), github_push(repository=7), {"zen": "hello"}])
def test_a_deleted_ref_and_a_ping_start_nothing(body: dict[str, Any]) -> None:
    assert events.of_github(body) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"extra": 1}, "extra"),
        ({"ref": "main"}, "ref"),
        ({"builds": []}, "builds"),
        ({"builds": [{"service": "a"}]}, "builds"),
        ({"builds": "x"}, "builds"),
    ],
)
def test_the_portals_own_shape_names_what_is_wrong(change: dict[str, Any], field: str) -> None:
    body = {
        "repository": "shop/shop",
        "ref": "refs/heads/main",
        "commit": "c0ffee",
        "builds": [{"service": "a", "version": "1"}],
    }
    assert events.of_ci(body) is not None

    with pytest.raises(Invalid) as refused:
        events.of_ci({**body, **change})

    assert [each["field"] for each in refused.value.missing] == [field]
