"""Files as evidence: what is taken, who gets them, and that none is replaced once a result is signed off."""

import base64
import hashlib
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from portal.audit.models import AuditEntry
from portal.people.models import User
from releases import operations
from releases.catalog import rights
from releases.catalog.models import Environment
from releases.models import Answer, EvidenceFile, Release
from releases.operations.evidence import LARGEST_BYTES, charset_of, media_type_of
from tests.factories import Shop, make_checklist, make_release, roll_out, verify
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40
HTML = b"<!doctype html><script>alert(1)</script>"


def browse(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def asked(shop: Shop, *, phase: str = "before", role: str = "qa") -> tuple[Release, str]:
    """A release in review with one check, and the address of its panel."""
    make_checklist({"phase": phase, "text": "시험 통과", "role": role})
    release = make_release(shop, at="in_review")
    return release, f"/releases/{release.number}/checklist/{release.checks.get().pk}/"


def give(user: User, url: str, name: str, content: bytes, **more: str) -> Any:
    """Answer through the page's form."""
    data = {"result": "done", "evidence": "seen", "link": "", **more}
    return browse(user).post(url, {**data, "file": SimpleUploadedFile(name, content)})


@long
def test_a_file_is_kept_under_its_digest_and_handed_out_for_download_only(shop: Shop) -> None:
    release, url = asked(shop)
    assert give(shop.cast.qa, url, "시험 결과.png", PNG).status_code == 302
    digest = f"sha256:{hashlib.sha256(PNG).hexdigest()}"
    entry = AuditEntry.objects.filter(action="checklist.ticked").latest("id")
    assert json.loads(entry.body)["after"]["evidence"]["file"]["digest"] == digest
    address = f"/releases/{release.number}/evidence/{digest}/"
    assert address in browse(shop.cast.author).get(f"/releases/{release.number}/").content.decode()
    handed = browse(shop.cast.author).get(address)
    assert (handed.content, handed["Content-Type"]) == (PNG, "image/png")
    assert handed["Content-Disposition"].startswith("attachment; filename*=utf-8''")
    assert "sandbox" in handed["Content-Security-Policy"]
    assert handed["X-Content-Type-Options"] == "nosniff"


@long
def test_the_same_bytes_are_kept_once(shop: Shop) -> None:
    _release, url = asked(shop)
    give(shop.cast.qa, url, "one.png", PNG)
    give(shop.cast.qa, url, "two.png", PNG)
    assert EvidenceFile.objects.count() == 1


@long
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("proof.png", HTML),
        ("proof.txt", HTML),
        ("proof.txt", b"\xef\xbb\xbf \n" + HTML),
        ("proof.txt", "<script>한글</script>".encode("cp949")),
        ("proof.txt", "<script>한글</script>".encode("utf-16")),
        ("proof.csv", "주문\x00,12".encode("utf-16")),
        ("proof.csv", "주문,12".encode("utf-16-le")),
        ("proof.txt", "Größe, naïve".encode("latin-1")),
        ("proof.txt", "주문".encode("cp949")[:-1]),
        ("proof.txt", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("proof.log", b"MZ\x90\x00\x03"),
        ("proof.html", b"plain words"),
        ("proof.png", b"plain words"),
        ("proof", PNG),
        ("proof.txt", b""),
        ("proof.txt", b"a" * (LARGEST_BYTES + 1)),
    ],
)
def test_what_a_browser_could_run_or_no_reader_could_tell_is_refused(
    shop: Shop, name: str, content: bytes
) -> None:
    _release, url = asked(shop)
    answer = give(shop.cast.qa, url, name, content)
    assert answer.status_code == 422
    assert answer.context["form"].errors["file"]
    assert not EvidenceFile.objects.exists()
    assert not Answer.objects.exists()


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a..", "image/gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7\n\x00", "application/pdf"),
        ("주문,12\n".encode(), "text/plain"),
        (b'{"passed": 12}', "text/plain"),
        (b"\x1b[32mok\x1b[0m\n", "text/plain"),
        (b"\x7fELF", ""),
    ],
)
def test_types_are_known_by_their_first_bytes(content: bytes, media_type: str) -> None:
    assert media_type_of(content) == media_type


@long
@pytest.mark.parametrize(
    ("encoding", "charset"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("cp949", "euc-kr")],
)
def test_a_korean_file_is_kept_byte_for_byte_and_handed_out_with_its_encoding(
    shop: Shop, encoding: str, charset: str
) -> None:
    release, url = asked(shop)
    content = "주문,결과\r\n똠방각하,통과\r\n".encode(encoding)
    assert give(shop.cast.qa, url, "시험 결과.csv", content).status_code == 302
    kept = EvidenceFile.objects.get()
    assert kept.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    handed = browse(shop.cast.author).get(f"/releases/{release.number}/evidence/{kept.digest}/")
    assert (handed.content, handed["Content-Type"]) == (content, f"text/plain; charset={charset}")


KOREAN = st.text(st.sampled_from("가각힣똠뷁주문결과 ,\r\n\tabc019漢※"), max_size=60)


@long
@given(text=KOREAN.filter(lambda text: "주" in text))
def test_text_is_read_back_by_the_encoding_that_was_found(text: str) -> None:
    for encoding in ("utf-8", "utf-16", "cp949"):
        content = text.encode(encoding)
        charset = charset_of(content)
        assert charset
        assert content.decode("cp949" if charset == "euc-kr" else charset) == text


@long
def test_only_who_may_see_the_release_gets_its_files_and_from_that_release_alone(shop: Shop) -> None:
    release, url = asked(shop)
    give(shop.cast.qa, url, "proof.png", PNG)
    digest = EvidenceFile.objects.get().digest
    other = make_release(shop)
    assert browse(shop.cast.qa).get(f"/releases/{other.number}/evidence/{digest}/").status_code == 404
    address = f"/releases/{release.number}/evidence/{digest}"
    assert ApiClient(shop.cast.auditor).get(address).content == PNG
    blind = browse(shop.cast.outsider)
    assert blind.get(f"{address}/").status_code == 200
    Environment.objects.filter(pk=release.environment_id).update(spec={"visibility": "private"})
    rights.grant()
    assert blind.get(f"{address}/").status_code == 404


@long
def test_who_does_not_hold_the_role_leaves_no_file(shop: Shop) -> None:
    _release, url = asked(shop)
    assert give(shop.cast.author, url, "proof.png", PNG).status_code == 403
    assert not EvidenceFile.objects.exists()


@long
def test_the_api_takes_a_file_in_base64(shop: Shop) -> None:
    release, _url = asked(shop)
    path = f"/releases/{release.number}/checklist/{release.checks.get().pk}"
    api = ApiClient(shop.cast.qa)
    content = b"a line\n" * 200_000
    proof = {"text": "seen", "link": None, "file": {"name": "run.log", "content": encoded(content)}}
    answer = api.post(path, {"result": "done", "evidence": proof})
    assert answer.status_code == 200, answer.content
    file = answer.json()["evidence"]["file"]
    assert (file["name"], file["media_type"], file["size_bytes"]) == ("run.log", "text/plain", len(content))
    handed = api.get(f"/releases/{release.number}/evidence/{file['digest']}")
    assert handed.content == content
    turned = {"name": "proof\u202egnp.txt", "content": encoded(b"plain words")}
    for wrong in (
        {"name": "x.txt", "content": "%%%"},
        {"name": "x.png", "content": encoded(HTML)},
        turned,
        7,
    ):
        refused = api.post(path, {"result": "done", "evidence": {"file": wrong}})
        assert refused.status_code == 422
        assert refused.json()["missing"][0]["field"].startswith("evidence.file")
    link = {"text": "seen", "link": "javascript:alert(1)"}
    assert api.post(path, {"result": "done", "evidence": link}).status_code == 422


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@long
def test_an_earlier_answer_stays_readable_with_its_file_over_a_new_round_too(shop: Shop) -> None:
    release, url = asked(shop)
    give(shop.cast.qa, url, "broken.png", PNG, result="failed", evidence="It broke")
    digest = EvidenceFile.objects.get().digest
    browse(shop.cast.qa).post(url, {"result": "done", "evidence": "It works now"})
    page = browse(shop.cast.author).get(f"/releases/{release.number}/")
    (row,) = [row for phase in page.context["phases"] for row in phase["rows"]]
    assert row["check"].evidence == "It works now"
    assert [answer.evidence["text"] for answer in row["earlier"]] == ["It broke"]
    assert f"/evidence/{digest}/" in page.content.decode()
    author = acting(shop.cast.author)
    release.refresh_from_db()
    changed = {"changes": [{"area": "API", "text": "more", "link": None}]}
    operations.edit_release(release.number, changed, actor=author, if_match=release.content_digest)
    operations.submit_release(release.number, actor=author)
    page = browse(shop.cast.author).get(f"/releases/{release.number}/")
    assert len(page.context["earlier_rounds"]) == 2
    assert browse(shop.cast.author).get(f"/releases/{release.number}/evidence/{digest}/").status_code == 200


@long
def test_evidence_is_not_replaced_once_somebody_has_signed_off(shop: Shop) -> None:
    make_checklist(
        {"phase": "during", "text": "지표", "role": "qa"}, {"phase": "during", "text": "로그", "role": "qa"}
    )
    release = make_release(shop, at="approved")
    roll_out(release, shop)
    verify(release)
    measured, read = release.checks.order_by("position")
    urls = [f"/releases/{release.number}/checklist/{check.pk}/" for check in (measured, read)]
    give(shop.cast.qa, urls[0], "chart.png", PNG)
    give(shop.cast.qa, urls[0], "chart.png", PNG + b"again")
    operations.sign_off_result(release.number, actor=acting(shop.cast.pl), verdict="approve")
    late = give(shop.cast.qa, urls[0], "chart.png", PNG + b"late")
    assert late.status_code == 409
    assert not EvidenceFile.objects.filter(
        digest__contains=hashlib.sha256(PNG + b"late").hexdigest()
    ).exists()
    page = browse(shop.cast.qa).get(f"/releases/{release.number}/").content.decode()
    assert (urls[0] in page, urls[1] in page) == (False, True)
    assert give(shop.cast.qa, urls[1], "log.txt", b"calm").status_code == 302
    api = ApiClient(shop.cast.qa)
    path = urls[0].rstrip("/")
    assert api.post(path, {"result": "failed", "evidence": "no"}).json()["code"] == "wrong_state"
