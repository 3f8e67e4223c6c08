"""The frame and the gallery as a whole, and rules that hold for every template."""

import hashlib
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template.loader import render_to_string
from django.test import RequestFactory, override_settings
from django.urls import resolve
from django.utils import translation

from tests.ui.gallery_sample import sample

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted(
    p for folder in ("templates",) for p in (ROOT / folder).rglob("*") if p.suffix in {".html", ".svg"}
)
FORBIDDEN = {
    "inline style": re.compile(r"\sstyle\s*=|<style\b", re.IGNORECASE),
    "inline handler": re.compile(r"<[^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "hx-on": re.compile(r"\bhx-on[:=-]", re.IGNORECASE),
    "inline script": re.compile(r"<script(?![^>]*\ssrc=)", re.IGNORECASE),
    "javascript address": re.compile(r"javascript:", re.IGNORECASE),
    "outside address": re.compile(r"(src|href)=[\"'](https?:)?//", re.IGNORECASE),
}


class Reader:
    """A signed-in person, as far as the frame looks."""

    is_authenticated = True
    username = "minji"
    theme = ""
    keys_enabled = True

    def get_full_name(self) -> str:
        return "Minji Kim"


def gallery(language: str, *, user: object, theme: str = "") -> str:
    request = RequestFactory().get("/board/")
    request.user = user  # type: ignore[assignment]
    request.resolver_match = resolve("/board/", urlconf="tests.ui.frame_urls")
    if theme:
        request.COOKIES["theme"] = theme
    context = {"sample": sample(), "waiting_count": 4, "trouble_count": 1}
    with translation.override(language), override_settings(ROOT_URLCONF="tests.ui.frame_urls"):
        return render_to_string("gallery.html", context, request=request)


@pytest.mark.parametrize("rule", sorted(FORBIDDEN))
def test_templates_keep_within_the_content_security_policy(rule: str) -> None:
    assert TEMPLATES
    assert [path.name for path in TEMPLATES if FORBIDDEN[rule].search(path.read_text())] == []


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_gallery_is_drawn_in_every_language(language: str) -> None:
    html = gallery(language, user=Reader())
    assert f'<html lang="{language}"' in html
    assert 'aria-live="polite"' in html
    assert 'name="csrf-token"' in html


def test_every_symbol_used_is_in_the_sprite() -> None:
    html = gallery("en", user=Reader())
    used = set(re.findall(r'href="#(shape-[a-z-]+)"', html))
    assert used <= set(re.findall(r'<symbol id="(shape-[a-z-]+)"', html))


def test_ids_are_unique_and_labels_point_at_something() -> None:
    html = gallery("en", user=Reader())
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:\sfor|aria-labelledby)="([^"]+)"', html)) <= set(ids)


def test_the_chosen_theme_is_drawn_by_the_server_and_nothing_else_is_taken_from_the_cookie() -> None:
    assert 'data-theme="dark"' in gallery("en", user=Reader(), theme="dark")
    assert "data-theme=" not in gallery("en", user=Reader(), theme="neon").partition("<body")[0]


def test_the_link_of_the_page_one_is_on_says_so() -> None:
    html = gallery("en", user=Reader())
    assert re.findall(r'<a href="([^"]+)" aria-current="page"', html) == ["/board/", "/board/"]


def test_both_counts_are_in_the_header_and_in_the_tab() -> None:
    html = gallery("en", user=Reader())
    assert 'id="counts" data-waiting="4" data-trouble="1"' in html
    assert "<title>(4) Components · Release portal</title>" in html
    assert "favicon-trouble.svg" in html.partition('rel="icon"')[2].partition("data-calm")[0]


def test_a_stranger_sees_no_links_and_no_menu() -> None:
    html = gallery("en", user=AnonymousUser())
    assert "data-theme-choice" not in html
    assert '<nav class="nav"' not in html


def test_pinned_libraries_are_what_they_claim_to_be() -> None:
    table = (ROOT / "static" / "vendor" / "README.md").read_text()
    listed = dict(re.findall(r"\| `([^`]+)` \|.*`([0-9a-f]{64})`", table))
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (ROOT / "static" / "vendor").glob("*.js")
    }
    assert found == listed


def test_scripts_evaluate_no_text_and_write_no_markup() -> None:
    banned = re.compile(r"\beval\(|new Function|innerHTML|outerHTML\s*=|document\.write|insertAdjacentHTML")
    offenders = [
        path.name for path in (ROOT / "static" / "js").glob("*.js") if banned.search(path.read_text())
    ]
    assert offenders == []
