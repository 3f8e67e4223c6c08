"""The colours of tokens.css against the contrast ratios of WCAG 2.2 (1.4.3 and 1.4.11)."""

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).resolve().parents[2] / "static" / "css" / "tokens.css"
PAIR = re.compile(r"--([a-z0-9-]+):\s*light-dark\((#[0-9A-Fa-f]{6}),\s*(#[0-9A-Fa-f]{6})\)")
THEMES = ("light", "dark")
GROUNDS = ("bg", "surface", "sunken")
TEXTS = ("ink", "ink2", "mute", "act", "wait", "ok", "bad", "blue", "green", "focus")
ON_OWN_GROUND = (
    "mute",
    "act",
    "wait",
    "ok",
    "bad",
    "blue",
    "green",
    *(f"grade-{letter}" for letter in "abcde"),
)
TEXT_MINIMUM, EDGE_MINIMUM = 4.5, 3.0


def palette(theme: str) -> dict[str, str]:
    return {name: pair[THEMES.index(theme)] for name, *pair in PAIR.findall(TOKENS.read_text())}


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_ratio_is_computed_as_the_standard_says() -> None:
    assert ratio("#FFFFFF", "#000000") == pytest.approx(21)
    assert ratio("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("token", TEXTS)
def test_text_is_readable_on_every_ground(token: str, ground: str, theme: str) -> None:
    colours = palette(theme)
    assert ratio(colours[token], colours[ground]) >= TEXT_MINIMUM


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("token", ON_OWN_GROUND)
def test_text_is_readable_on_the_ground_made_for_it(token: str, theme: str) -> None:
    colours = palette(theme)
    assert ratio(colours[token], colours[f"{token}-bg"]) >= TEXT_MINIMUM


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("token", ["act", "bad"])
def test_a_button_s_word_is_readable_on_its_fill(token: str, theme: str) -> None:
    colours = palette(theme)
    assert ratio(colours[f"on-{token}"], colours[token]) >= TEXT_MINIMUM


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", GROUNDS)
def test_the_edges_of_fields_are_seen_on_every_ground(ground: str, theme: str) -> None:
    colours = palette(theme)
    assert ratio(colours["edge"], colours[ground]) >= EDGE_MINIMUM


def test_no_other_stylesheet_writes_a_colour_of_its_own() -> None:
    allowed = {"#171B22", "#0C0E12", "#ECEFF4"}  # the log stays dark in both themes
    for sheet in TOKENS.parent.glob("*.css"):
        if sheet != TOKENS:
            found = {colour.upper() for colour in re.findall(r"#[0-9A-Fa-f]{6}\b", sheet.read_text())}
            assert found <= allowed, sheet.name
