"""Which values stand for one that nobody has set yet: pure rules."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.integrations.kubernetes.secrets import fault_of, faults_of_secret, is_placeholder
from tests.soak import many, repeated


@pytest.mark.parametrize(
    "value",
    [
        "CHANGE_THIS_PASSWORD",
        "CHANGE_THIS_TO_COMPLEX_SECRET_MINIMUM_64_CHARACTERS_LONG",
        "postgres://user:CHANGE_THIS_PASSWORD@host:5432/db",
        "changeme",
        "change-me",
        "<replace me>",
        "your_api_key",
        "AKIAIOSFODNN7EXAMPLE",
        "smtp://mail.example.com",
        "password",
        "Secret",
        "xxxxxxxx",
        "****",
        "12345678",
    ],
)
def test_placeholders_are_known(value: str) -> None:
    assert is_placeholder(value)


@repeated
@many
@given(st.binary(min_size=12, max_size=64))
def test_what_is_random_is_none(value: bytes) -> None:
    text = base64.b64encode(value).decode()
    assert not is_placeholder(text) or len(set(text.strip("="))) == 1


@pytest.mark.parametrize(
    ("value", "least", "code"),
    [
        (None, 0, "absent"),
        ("", 0, "empty"),
        ("\n", 0, "empty"),
        ("s3v3n-ch", 64, "short"),
        ("changeme", 64, "placeholder"),
        ("f7Qz!pL2", 8, ""),
    ],
)
def test_the_plainest_fault_is_told(value: str | None, least: int, code: str) -> None:
    found = fault_of("KEY", value, least=least)
    assert (found.code if found else "") == code


class Holding:
    """A cluster with one Secret."""

    def __init__(self, **values: bytes) -> None:
        self.data = {name: base64.b64encode(value).decode() for name, value in values.items()}

    def read(self, plural: str, namespace: str, name: str) -> Any:
        return {"data": self.data} if (plural, name) == ("secrets", "api") else None


def test_keys_leave_with_their_fault_and_no_value() -> None:
    noise = bytes(range(128, 200))
    holding: Any = Holding(PASSWORD=b"CHANGE_THIS", KEY=b"f7Qz!pL2", NOISE=noise, OLD=b"changeme")
    found = faults_of_secret(holding, "shop", "api", least={"KEY": 32, "GONE": 1}, ignored={"OLD"})
    assert found is not None
    assert [(each.key, each.code, each.least) for each in found] == [
        ("GONE", "absent", 0),
        ("KEY", "short", 32),
        ("PASSWORD", "placeholder", 0),
    ]
    assert "f7Qz" not in repr(found)
    assert faults_of_secret(holding, "shop", "other", least={}) is None
