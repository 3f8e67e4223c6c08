"""What the template tags write, and that nothing of what people typed gets out unescaped."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django import forms
from django.template import Context, RequestContext, Template, TemplateSyntaxError
from django.test import RequestFactory, override_settings
from django.utils import timezone, translation

from portal.ui import times
from portal.ui.diffs import diff_rows
from tests.soak import long

EVIL = '"><script>alert(1)</script>'
NOON = datetime(2026, 11, 21, 5, 2, 33, tzinfo=UTC)


@pytest.fixture(autouse=True)
def english_in_seoul() -> object:
    with translation.override("en"), timezone.override("Asia/Seoul"):
        yield


def render(source: str, **context: object) -> str:
    return Template("{% load ui %}" + source).render(Context(context))


@long
@pytest.mark.parametrize(
    "source",
    [
        "{% state_pill value %}",
        "{% state_pill 'draft' label=value %}",
        "{% grade value %}",
        "{% person value %}",
        "{% person value acting_for=value %}",
        "{% digest value %}",
        "{% change value value %}",
        "{% diff '' value label=value %}",
        "{% empty value value value %}",
        "{% notice value title=value %}",
        "{% shape value label=value %}",
        "{% role value %}",
        "{% progress 1 2 label=value %}",
    ],
)
def test_no_tag_lets_markup_through(source: str) -> None:
    assert "<script" not in render(source, value=EVIL)


def test_graph_and_life_line_let_no_markup_through() -> None:
    waves = [{"title": EVIL, "members": [{"name": EVIL, "state": EVIL, "note": EVIL}]}]
    assert "<script" not in render("{% wave_graph waves label=label %}", waves=waves, label=EVIL)
    assert "<script" not in render("{% life_line p %}", p=[{"label": EVIL, "status": EVIL, "note": EVIL}])


def test_one_template_speaks_to_each_in_their_language() -> None:
    named = '{% translate "Close" context "dialog" as close %}{{ close }}'
    board = Template('{% translate "Board" %} ' + named + " {% translate said %}")
    drawn = []
    for language in ("en", "ko", "en", "ko"):
        with translation.override(language):
            drawn.append([board.render(Context({"said": word})) for word in ("Inbox", "Audit")])
    assert drawn[:2] == drawn[2:]
    assert drawn[0] == ["Board Close Inbox", "Board Close Audit"]
    assert drawn[1] == ["현황판 닫기 할 일", "현황판 닫기 감사"]


def test_what_is_the_same_for_everybody_is_drawn_once_and_knows_nobody() -> None:
    shared = Template('{% constant %}{% translate "Board" %}{{ name }}{% endconstant %} {{ name }}')
    drawn = []
    for language, name in (("en", "Minji"), ("ko", "Jiho"), ("en", "Sora")):
        with translation.override(language):
            drawn.append(shared.render(Context({"name": name})))
    assert drawn == ["Board Minji", "현황판 Jiho", "Board Sora"]


def test_what_is_drawn_once_knows_no_request() -> None:
    page = Template("{% url 'releases:list' %} {% constant %}{% url 'releases:list' %}{% endconstant %}")
    request = RequestFactory().get("/")
    request.current_app = "elsewhere"
    with override_settings(ROOT_URLCONF="tests.ui.frame_urls"):
        drawn = [page.render(context) for context in (RequestContext(request), Context())]
    assert drawn == ["/releases/ /releases/"] * 2


@pytest.mark.parametrize(
    "own", ["{% block title %}{% endblock %}", "{% if name %}{% csrf_token %}{% endif %}"]
)
def test_what_differs_from_page_to_page_is_not_drawn_once(own: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="no block and no CSRF token"):
        Template("{% constant %}" + own + "{% endconstant %}")


def test_an_address_is_one_of_the_pages_that_there_are() -> None:
    page = Template("{% url 'board' %} {% url 'systems' as systems %}{{ systems }} {% url name %}")
    drawn = []
    for urls in ("portal.urls", "tests.ui.frame_urls", "portal.urls"):
        with override_settings(ROOT_URLCONF=urls):
            drawn.append([page.render(Context({"name": name})) for name in ("inbox", "board")])
    assert drawn[0] == drawn[2] == ["/board/ /systems/ /", "/board/ /systems/ /board/"]
    assert drawn[1] == ["/board/  /", "/board/  /board/"]


def test_the_address_of_a_file_is_escaped_where_pages_are() -> None:
    files = Template("{% static 'a&b.css' %} {% autoescape off %}{% static 'a&b.css' %}{% endautoescape %}")
    assert [files.render(Context()) for _time in range(2)] == ["/static/a%26b.css /static/a%26b.css"] * 2
    named = Template("{% static name %}{% static 'one.css' as one %} {{ one }}")
    assert [named.render(Context({"name": name})) for name in ("x.css", "y.css")] == [
        "/static/x.css /static/one.css",
        "/static/y.css /static/one.css",
    ]


def test_a_pill_says_its_state_in_word_tone_and_shape() -> None:
    html = render("{% state_pill 'in_review' %}")
    assert "In review" in html
    assert "pill-wait" in html
    assert "#shape-ring" in html


def test_a_grade_always_says_its_risk() -> None:
    assert "high" in render("{% grade 'D' %}")
    assert "high" in render("{% grade 'D' short=True %}")
    assert "No grade yet" in render("{% grade None %}")


def test_a_person_is_named_and_a_delegate_with_the_giver() -> None:
    minji = SimpleNamespace(username="minji", get_full_name=lambda: "Minji Kim")
    assert "Minji Kim" in render("{% person user %}", user=minji)
    assert "Minji Kim for Haneul" in render("{% person user acting_for='Haneul' %}", user=minji)
    assert "–" in render("{% person None %}")
    assert render("{% person user %}, ", user=minji).endswith("</span>, "), "no gap before a comma"


def test_a_digest_is_cut_in_the_middle_and_copied_whole() -> None:
    whole = "sha256:" + "0123456789abcdef" * 4
    html = render("{% digest d %}", d=whole)
    assert "012345…cdef" in html
    assert f'data-copy="{whole}"' in html


def test_a_near_time_is_relative_with_its_clock_time() -> None:
    html = render("{% when at %}", at=timezone.now() - timedelta(minutes=3, seconds=5))
    assert "3 minutes ago" in html
    assert "<time datetime=" in html


def test_a_far_time_is_a_date() -> None:
    assert times.absolute(NOON, now=NOON) == "Sat, 21 Nov, 14:02"
    assert times.absolute(NOON, now=NOON + timedelta(days=400)) == "Sat, 21 Nov 2026, 14:02"


def test_a_zone_other_than_the_company_s_is_named() -> None:
    assert times.clock(NOON) == "14:02"
    with timezone.override("UTC"):
        assert times.clock(NOON) == "05:02 UTC"


def test_the_same_moment_is_written_for_each_reader_in_their_zone_and_language() -> None:
    later = NOON + timedelta(days=2)
    said = []
    for language, zone in (("en", "Asia/Seoul"), ("ko", "Asia/Seoul"), ("en", "UTC"), ("en", "Asia/Seoul")):
        with translation.override(language), timezone.override(zone):
            said.append(times.written(NOON, now=later)[1:])
    assert said[0] == said[3] == ("", "14:02", "Sat, 21 Nov, 14:02")
    assert said[1] == ("", "14:02", "11월 21일 (토) 14:02")
    assert said[2] == ("", "05:02 UTC", "Sat, 21 Nov, 05:02 UTC")
    assert times.written(NOON, now=later + timedelta(days=400)).absolute == "Sat, 21 Nov 2026, 14:02"


def test_an_hour_that_comes_twice_is_written_as_the_one_it_is() -> None:
    with timezone.override("America/New_York"):
        first = datetime(2026, 11, 1, 1, 30, tzinfo=timezone.get_current_timezone())
        said = [times.written(each, now=NOON).clock for each in (first, first.replace(fold=1))]
    assert said == ["01:30 EDT", "01:30 EST"]


def test_the_proof_s_time_has_seconds_and_zone() -> None:
    assert "2026-11-21 14:02:33 KST" in render("{% when at exact=True %}", at=NOON)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (40, "40 s"),
        (75, "1 min 15 s"),
        (900, "15 min"),
        (4800, "1 h 20 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_spans_are_said_in_at_most_two_units(seconds: int, words: str) -> None:
    assert times.span(seconds) == words


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(-40, "40 seconds ago"), (-7200, "2 hours ago"), (60, "in 1 minute"), (-1, "1 second ago")],
)
def test_distance_from_now_is_said_in_one_unit(ahead: int, words: str) -> None:
    assert times.relative(NOON + timedelta(seconds=ahead), now=NOON) == words


def test_a_difference_numbers_lines_and_keeps_context() -> None:
    old = "\n".join(f"line {n}" for n in range(20))
    rows = diff_rows(old, old.replace("line 10", "changed"))
    assert [row.kind for row in rows].count("same") == 6
    assert [(row.sign, row.old_number, row.new_number) for row in rows if row.sign] == [
        ("−", 11, None),
        ("+", None, 11),
    ]
    assert diff_rows(old, old) == []


def test_a_wrong_field_is_tied_to_its_error_and_help() -> None:
    class Reason(forms.Form):
        reason = forms.CharField(help_text="Why?")

    form = Reason({"reason": ""})
    html = render("{% field form.reason %}", form=form)
    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="id_reason_helptext id_reason_error"' in html
    assert 'id="id_reason_helptext"' in html
    assert 'id="id_reason_error"' in html
    assert '<label for="id_reason">' in html


@long
def test_a_graph_joins_its_waves_and_stays_in_its_frame() -> None:
    waves = [{"members": [{"name": f"s{n}", "state": "succeeded"}]} for n in range(8)]
    html = render("{% wave_graph waves label='graph' %}", waves=waves)
    assert html.count('class="node ') == 8
    assert html.count("edge-done") == 7
    assert 'role="img"' in html
    assert 'viewBox="0 0 1224 ' in html


@long
def test_an_empty_graph_is_drawn_without_waves() -> None:
    assert 'viewBox="0 0 0 2"' in render("{% wave_graph waves label='graph' %}", waves=[])
