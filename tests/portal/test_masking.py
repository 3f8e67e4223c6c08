"""Whatever way a secret stands in a line, it is not in what people read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.masking import LONGEST_LINE, MASK, masked, masked_change, masked_lines
from tests.soak import long

LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
SECRET = st.text(LETTERS, min_size=12, max_size=40).map(lambda text: f"Zq9{text}")
WAYS = (
    "password={}",
    "password = {}",
    "PASSWORD: {}",
    "DB_PASSWORD='{}' started",
    'connecting {{"password": "{}", "user": "x"}}',
    'connecting {{"dbPassword":"{} and more","user":"x"}}',
    'nested "{{\\"client_secret\\":\\"{}\\"}}"',
    "?user=a&token={}&x=1",
    "access_token={}",
    "refreshToken => {}",
    "X-Api-Key: {}",
    "api_key={}",
    "aws_secret_access_key = {}",
    "Authorization: Bearer {}",
    "authorization=Basic {}",
    "'Authorization': 'Token {}'",
    "sent bearer {} along",
    "Set-Cookie: sessionid={}; Path=/",
    "postgres://shop:{}@db:5432/shop",
    "amqp://:{}@queue/",
    "https://{}@git.example/x.git",
    "redis://default:a/{}@cache:6379/0",
    "key is eyJhbGciOiJIUzI1NiJ9.{}.{}",
    "pushed with ghp_{}0123456789",
    "pushed with glpat-{}",
    "-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY----- after",
)


@given(secret=SECRET, way=st.sampled_from(WAYS))
def test_no_way_of_writing_it_shows_a_secret(secret: str, way: str) -> None:
    line = f"2026-11-21 INFO {way.replace('{}', secret)}".replace("{{", "{").replace("}}", "}")
    assert secret in line
    shown = masked_lines([line])[0]
    assert secret not in shown
    assert shown.startswith("2026-11-21 INFO ")
    assert MASK in shown


@long
@given(st.lists(st.text(LETTERS, min_size=64, max_size=64), min_size=1, max_size=5), st.integers(0, 6))
def test_a_block_is_one_line_even_where_its_beginning_is_cut_off(key: list[str], skipped: int) -> None:
    block = ["-----BEGIN RSA PRIVATE KEY-----", *key, "-----END RSA PRIVATE KEY-----"]
    shown = masked_lines(["before", *block[min(skipped, len(block) - 1) :], "after"])
    assert shown == ["before", MASK, "after"]


@pytest.mark.parametrize("part", ["://a:", "://", "-----BEGIN A-----x", "password=", "token", '"', "\x1b]"])
def test_who_writes_a_message_cannot_keep_its_reader(part: str) -> None:
    endless = part * (3_000_000 // len(part))
    assert len(masked(endless)) < 200_000
    was, becomes = masked_change("data.note", endless, f"{endless} and more")
    assert was != becomes


def env(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("spec.template.spec.containers[web].env[DB_PASSWORD].value", "Zq9old", "Zq9new"),
        ("spec.template.spec.containers[web].env[DB_PASSWORD]", None, env("DB_PASSWORD", "Zq9new")),
        ("spec.template.spec.containers[side]", None, {"name": "side", "env": [env("API_KEY", "Zq9new")]}),
        ("spec.template.spec.containers[web].env[0].value", "db://u:Zq9old@db/x", "db://u:Zq9new@db/x"),
        ("spec.template.spec.containers[web].args", ["--token=Zq9old"], ["--token=Zq9new"]),
        ("data.application.yaml", "user: a\npassword: Zq9old", "user: a\npassword: Zq9new"),
        ("data.smtp-password", "Zq9old", "Zq9new"),
        (
            "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration",
            '{"env":[{"name":"X","value":"Zq9old"}]}',
            '{"env":[{"name":"X","value":"Zq9new"}]}',
        ),
    ],
)
def test_a_change_of_a_secret_shows_that_it_changes_and_not_to_what(
    field: str, before: object, after: object
) -> None:
    shown = masked_change(field, before, after)
    assert "Zq9" not in str(shown)
    assert shown[0] != shown[1]


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("spec.template.spec.containers[web].image", "shop/web:1", "shop/web:2"),
        ("spec.template.spec.containers[web].env[LEVEL].value", "info", "debug"),
        ("spec.template.spec.volumes[keys].secret.secretName", "web-keys", "web-keys-2"),
        ("spec.replicas", 2, 4),
    ],
)
def test_any_other_change_is_shown_as_it_is(field: str, before: object, after: object) -> None:
    assert masked_change(field, before, after) == (before, after)


def test_a_block_whose_end_is_cut_off_hides_the_rest() -> None:
    assert masked_lines(["a", "-----BEGIN CERTIFICATE-----", "MIIB", "MIIC"]) == ["a", MASK]


@pytest.mark.parametrize(
    "line",
    [
        "order 42 paid",
        "GET /shop/orders?page=2 200 13ms",
        "2 tokens left",
        "http://shop.example/a:b",
        "열림: 5",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert masked_lines([line]) == [line]


def test_only_text_is_left() -> None:
    shown = masked_lines(["\x1b[31mred\x1b[0m \x00 \u202eturned <b>"])
    assert shown == ["red \ufffd \ufffdturned <b>"]


def test_a_long_line_is_cut() -> None:
    assert len(masked_lines(["x" * 10**6])[0]) == LONGEST_LINE + 1
