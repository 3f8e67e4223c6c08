"""Reading the record in the browser and over the API."""

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from portal.actors import Actor
from portal.audit import export, wording
from portal.audit.models import AuditEntry, ChainCheck, Checkpoint
from portal.audit.record import record
from portal.people.models import User
from portal.sentences import sentence
from tests.people import Cast, acting, person
from tests.portal.api import ApiClient
from tests.portal.audit.signing import let_workers_verify, new_key, without_guards, write
from tests.soak import long

ROOT = Path(__file__).resolve().parents[3]
READERS = ["team_lead", "director", "auditor", "administrator"]
OTHERS = ["author", "pl", "infra_senior", "qa", "outsider"]


def act(number: int, *, actor: Actor, release: int | None = None, service: str = "") -> None:
    record(
        "person.changed",
        actor=actor,
        subject=("person", f"p{number}"),
        before={"name": "<b>old</b>"},
        after={"name": "새 이름"},
        reason=f"reason {number}",
        release=release,
        service=service,
    )


@pytest.fixture
def entries(cast: Cast) -> Cast:
    for number in range(60):
        act(number, actor=acting(cast.author), release=145 if number % 2 else None, service="order-api")
    with connection.cursor() as cursor:
        cursor.execute(
            "SET CONSTRAINTS ALL IMMEDIATE"
        )  # the chain is linked at commit, which a test never reaches
    return cast


def page(user: User, path: str) -> Any:
    client = Client()
    client.force_login(user)
    return client.get(path)


@pytest.mark.parametrize("who", READERS)
def test_the_record_is_open_to_its_readers(entries: Cast, who: str) -> None:
    answer = page(getattr(entries, who), "/audit/")
    assert answer.status_code == 200
    assert len(answer.context["rows"]) == 50


def test_a_reason_of_the_portals_own_is_said_in_the_readers_language(cast: Cast) -> None:
    with translation.override("ko"):
        record(
            "person.changed",
            actor=acting(cast.author),
            subject=("person", "p"),
            after={"name": "x"},
            reason=sentence("Replaced by #{number}.", number=7),
        )
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    [entry] = AuditEntry.objects.filter(action="person.changed", number__isnull=False)
    client = Client(headers={"accept-language": "en"})
    client.force_login(cast.auditor)
    for path in ("/audit/", f"/audit/{entry.number}/"):
        assert ">Replaced by #7.<" in client.get(path).content.decode()
    body = json.loads(entry.body)
    assert ("7" in body["reason"], body["reason"] == "Replaced by #7.") == (True, False)


@long
@pytest.mark.parametrize("who", OTHERS)
def test_the_record_is_closed_to_others_who_are_told_whom_it_is_for(entries: Cast, who: str) -> None:
    for path in ("/audit/", "/audit/1/", "/audit/export/"):
        assert page(getattr(entries, who), path).status_code == 403
    assert ApiClient(getattr(entries, who)).get("/audit").status_code == 403
    assert ApiClient(getattr(entries, who)).get("/audit/export").status_code == 403


@pytest.mark.parametrize(("who", "is_led_there"), [("auditor", True), ("team_lead", True), ("pl", False)])
def test_the_frame_leads_to_the_record_those_who_may_read_it(
    cast: Cast, who: str, is_led_there: bool
) -> None:
    text = page(getattr(cast, who), "/me/").content.decode()
    assert ('href="/audit/"' in text) is is_led_there


@long
def test_the_next_page_begins_where_this_one_ends(entries: Cast) -> None:
    first = page(entries.auditor, "/audit/?person=author")
    second = page(entries.auditor, f"/audit/?{first.context['next_query']}")
    numbers = [row["entry"].number for row in (*first.context["rows"], *second.context["rows"])]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 60


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("release=145", 30),
        ("person=author&release=145", 30),
        ("person=nobody", 0),
        ("service=order-api&subject=person:p7", 1),
        ("subject=p7", 1),
        ("action=person.changed&start=2000-01-01&end=2000-01-02", 0),
    ],
)
def test_the_record_is_searched(entries: Cast, query: str, count: int) -> None:
    assert len(page(entries.auditor, f"/audit/?{query}").context["rows"]) == count


@long
@pytest.mark.parametrize("query", ["release=x", "start=yesterday", "action=nothing"])
def test_a_wrong_search_is_shown_with_its_fault(entries: Cast, query: str) -> None:
    assert page(entries.auditor, f"/audit/?{query}").status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/audit/?before=x",
        "/audit/999999/",
        "/audit/?before=99999999999999999999",
        "/audit/99999999999999999999/",
    ],
)
def test_an_entry_or_page_that_is_not_there_is_not_found(entries: Cast, path: str) -> None:
    assert page(entries.auditor, path).status_code == 404


@long
def test_an_entry_is_shown_whole_and_only_as_text(entries: Cast) -> None:
    number = page(entries.auditor, "/audit/?subject=p7").context["rows"][0]["entry"].number
    text = page(entries.auditor, f"/audit/{number}/").content.decode()
    assert "reason 7" in text
    assert "새 이름" in text
    assert "<b>old</b>" not in text
    assert "&lt;b&gt;old&lt;/b&gt;" in text


@long
def test_a_korean_page_names_people_subjects_and_doors_in_words(entries: Cast) -> None:
    number = page(entries.auditor, "/audit/?subject=p7").context["rows"][0]["entry"].number
    client = Client(headers={"accept-language": "ko"})
    client.force_login(entries.auditor)
    for path in ("/audit/?subject=p7", f"/audit/{number}/"):
        text = client.get(path).content.decode()
        assert "계정 p7" in text
        assert ">Author<" in text
    assert "브라우저" in text
    assert "이름</th>" in text


def test_every_kind_of_subject_and_door_has_its_words() -> None:
    sources = [file for app in ("portal", "approvals", "releases") for file in (ROOT / app).rglob("*.py")]
    text = "\n".join(file.read_text() for file in sources)
    kinds = re.findall(r'subject ?= ?\("(\w+)",|KIND: ClassVar\[str\] = "(\w+)"', text)
    assert {first or second for first, second in kinds} <= set(wording.SUBJECTS)
    assert set(re.findall(r'door="(\w+)"', text)) <= set(wording.DOORS)


@long
def test_the_list_takes_the_same_number_of_queries_however_long_it_is(entries: Cast) -> None:
    client = Client()
    client.force_login(entries.auditor)
    client.get("/audit/")
    counts = set()
    for path in ("/audit/?subject=p7", "/audit/"):
        with CaptureQueriesContext(connection) as queries:
            client.get(path)
        counts.add(len(queries))
    assert len(counts) == 1


def test_a_reader_verifies_the_chain_now(entries: Cast) -> None:
    client = Client()
    client.force_login(entries.auditor)
    assert client.post("/audit/verify/").status_code == 302
    let_workers_verify()
    assert ChainCheck.objects.get().fault == ""
    client.force_login(entries.outsider)
    assert client.post("/audit/verify/").status_code == 403
    assert ChainCheck.objects.count() == 1


@long
@pytest.mark.django_db(transaction=True)
def test_the_page_says_what_was_verified_and_what_is_signed(settings: Any) -> None:
    gamsa = person("gamsa", ("auditor", "*"))
    with without_guards():
        AuditEntry.objects.all().delete()
    client = Client(headers={"accept-language": "en"})
    client.force_login(gamsa)
    assert "No key signs the record" in client.get("/audit/").content.decode()
    client.post("/audit/verify/")
    let_workers_verify()
    text = client.get("/audit/").content.decode()
    assert "There was nothing to verify yet" in text
    assert "verified</span>" not in text
    settings.AUDIT_KEY = new_key()
    write(1)
    assert "Nothing is signed yet" in client.get("/audit/").content.decode()
    client.post("/audit/sign/")
    assert "not verified yet" in client.get("/audit/").content.decode()
    client.post("/audit/verify/")
    let_workers_verify()
    text = client.get("/audit/").content.decode()
    assert "Signed up to the newest entry." in text
    assert "holds</span>" in text
    assert "2 entries verified" in text


def test_only_readers_sign(entries: Cast, settings: Any) -> None:
    settings.AUDIT_KEY = new_key()
    client = Client()
    client.force_login(entries.outsider)
    assert client.post("/audit/sign/").status_code == 403
    assert not Checkpoint.objects.exists()


def test_the_export_as_csv_has_the_same_entries_and_starts_no_formula(entries: Cast) -> None:
    record(
        "person.changed",
        actor=acting(entries.author),
        subject=("person", "=1+1"),
        reason='=HYPERLINK("http://evil")',
        service="@sum",
    )
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    text = b"".join(page(entries.auditor, "/audit/export/?format=csv").streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == AuditEntry.objects.exclude(number=None).count()
    assert (rows[-1]["subject"], rows[-1]["service"]) == ("'=1+1", "'@sum")
    assert rows[-1]["reason"] == '\'=HYPERLINK("http://evil")'
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


def test_a_bundle_holds_the_whole_record_and_what_verifies_it(entries: Cast) -> None:
    for path in ("/audit/export/?format=bundle&release=145", "/audit/export/?format=xml"):
        assert page(entries.auditor, path).status_code == 422
    client = ApiClient(entries.auditor)
    assert client.get("/audit/export?format=bundle&person=author").status_code == 422
    content = b"".join(client.get("/audit/export?format=bundle").streaming_content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = {"README.md", "verify.py", "entries.jsonl", "checkpoints.jsonl", "keys.json"}
        assert set(archive.namelist()) == names
        lines = archive.read("entries.jsonl").splitlines()
    assert len(lines) == AuditEntry.objects.exclude(number=None).count()


def test_an_export_reads_page_by_page(entries: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHUNK", 7)
    monkeypatch.setattr(export, "PIECE_BYTES", 300)
    pieces = list(page(entries.auditor, "/audit/export/?person=author").streaming_content)
    assert len(pieces) > 20
    lines = [json.loads(line) for line in b"".join(pieces).splitlines()]
    numbers = [line["number"] for line in lines]
    assert (len(numbers), numbers) == (60, sorted(numbers))


@pytest.mark.django_db(transaction=True)
def test_a_web_process_sends_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    gamsa = person("gamsa", ("auditor", "*"))
    monkeypatch.setattr(export, "PIECE_BYTES", 10)

    async def pieces() -> list[bytes]:
        client = AsyncClient()
        await client.aforce_login(gamsa)
        answer: Any = await client.get("/audit/export/")
        assert answer.is_async
        return [piece async for piece in answer.streaming_content]

    assert len(async_to_sync(pieces)()) == AuditEntry.objects.count()


@pytest.mark.parametrize(
    ("options", "count"),
    [({"person": "author"}, 60), ({"release": 145}, 30), ({"start": "2200-01-01T00:00:00+09:00"}, 0)],
)
def test_the_command_exports_what_is_searched(entries: Cast, options: dict[str, Any], count: int) -> None:
    said = io.StringIO()
    call_command("audit", "export", stdout=said, **options)
    assert len(said.getvalue().splitlines()) == count


def test_the_command_wants_a_zone_and_writes_a_bundle(entries: Cast, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no time"):
        call_command("audit", "export", start="2026-01-01")
    with pytest.raises(CommandError, match="whole record"):
        call_command("audit", "export", format="bundle", person="author")
    call_command("audit", "export", format="bundle", output=tmp_path / "record.zip")
    assert zipfile.is_zipfile(tmp_path / "record.zip")


def test_the_export_is_json_lines_in_the_order_of_the_chain(entries: Cast) -> None:
    answer = page(entries.auditor, "/audit/export/?release=145")
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert len(lines) == 30
    assert [line["number"] for line in lines] == sorted(line["number"] for line in lines)


def test_the_api_lists_and_exports_the_same_entries(entries: Cast) -> None:
    client = ApiClient(entries.auditor)
    first = json.loads(client.get("/audit?person=author&limit=40").content)
    second = json.loads(client.get(f"/audit?person=author&limit=40&cursor={first['next']}").content)
    assert [len(first["items"]), len(second["items"]), second["next"]] == [40, 20, None]
    entry = first["items"][0]
    assert entry["subject"] == {"kind": "person", "key": "p59"}
    assert entry["entry"]["reason"] == "reason 59"
    exported = b"".join(client.get("/audit/export?person=author").streaming_content).splitlines()
    assert len(exported) == 60


def test_the_api_filters_by_time_and_wants_a_zone(entries: Cast) -> None:
    client = ApiClient(entries.auditor)
    assert client.get("/audit?from=2000-01-01T00:00:00").status_code == 422
    later = json.loads(client.get("/audit?from=2200-01-01T00:00:00%2B09:00").content)
    assert later == {"items": [], "next": None}
