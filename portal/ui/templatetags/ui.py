"""Template tags: one tag for each thing that must look the same everywhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from django import template
from django.conf import settings
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, RadioSelect
from django.template.base import FilterExpression, Node, NodeList, Parser, Token
from django.template.defaulttags import CsrfTokenNode, URLNode
from django.template.defaulttags import url as do_url
from django.template.loader import render_to_string
from django.template.loader_tags import BlockNode
from django.templatetags.i18n import TranslateNode, do_translate
from django.templatetags.static import StaticNode, do_static
from django.urls import NoReverseMatch, ResolverMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from portal.ui import times
from portal.ui.charts import Bar, Spark, lay_bars, lay_hours
from portal.ui.diffs import diff_rows
from portal.ui.graphs import NODE_HEIGHT, NODE_WIDTH, lay_out
from portal.ui.looks import STATES, grade_look, role_name, scope_name, state_look

register = template.Library()

Context = dict[str, Any]
DIGEST_HEAD, DIGEST_TAIL = 6, 4
SHOWN_WHOLE = 16
NAV_LINK = "components/nav_link.html"


class Constant(Node):
    """What a template says in the same words each time it is drawn in a language: made once for each."""

    child_nodelists = ()

    def __init__(self, node: Node | NodeList, name: str | None = None) -> None:
        self.node, self.name = node, name
        self.said: dict[tuple[str | None, str, bool], str] = {}

    def render(self, context: template.Context) -> str:
        """Say it, or give it its name in the context."""
        # The frame is also drawn with other addresses than the portal's.
        key = (get_language(), settings.ROOT_URLCONF, context.autoescape)
        said = self.said.get(key)
        if said is None:
            # Nothing of this reader, their request, or this page may get into what all are shown.
            nobody = template.Context(autoescape=context.autoescape)
            nobody.template = context.template
            drawn = self.node.render(nobody)
            said = self.said[key] = nobody[self.name] if self.name else drawn
        if self.name is None:
            return said
        context[self.name] = said
        return ""


@register.tag
def translate(parser: Parser, token: Token) -> Node:
    """Django's own tag; a text without variables is looked up once for each language."""
    node: TranslateNode = do_translate(parser, token)
    fixed = node.filter_expression.var.literal is not None and not node.filter_expression.filters
    if fixed and (node.message_context is None or _is_text(node.message_context)):
        return Constant(node, node.asvar)
    return node


@register.tag
def static(parser: Parser, token: Token) -> Node:
    """Django's own tag; the address of a file named in the template is worked out once."""
    node: StaticNode = do_static(parser, token)
    return Constant(node, node.varname) if _is_text(node.path) else node


@register.tag
def url(parser: Parser, token: Token) -> Node:
    """Django's own tag; the address of a page that there is only one of is worked out once."""
    node: URLNode = do_url(parser, token)
    fixed = _is_text(node.view_name) and not node.args and not node.kwargs
    return Constant(node, node.asvar) if fixed else node


@register.tag
def constant(parser: Parser, token: Token) -> Node:  # noqa: ARG001  Django's signature
    """Draw what lies between once for each language: it is the same for everybody, on every page.

    Nothing of the context is known in there.

    Raises:
        TemplateSyntaxError: at a block or a CSRF token inside, which would be the same for everybody.
    """
    parts: NodeList = parser.parse(("endconstant",))
    parser.delete_first_token()
    if parts.get_nodes_by_type(BlockNode) or parts.get_nodes_by_type(CsrfTokenNode):
        raise template.TemplateSyntaxError("{% constant %} holds no block and no CSRF token")
    return Constant(parts)


def _is_text(said: FilterExpression) -> bool:
    """Whether a template names a text itself, and does nothing to it."""
    return isinstance(said.var, str) and not said.filters


@register.inclusion_tag("components/pill.html")
def state_pill(value: str, *, plain: bool = False, large: bool = False, label: str = "") -> Context:
    """Draw a state: shape, word and tone. `plain` drops the ground, `large` is for title lines."""
    return {"value": value, "look": state_look(value), "plain": plain, "large": large, "label": label}


@register.simple_tag
def state_label(value: str) -> str:
    """Say a state's word alone, for titles and options."""
    return str(state_look(value).label)


@register.simple_tag
def shape(name: str, *, label: str = "") -> SafeString:
    """Draw a symbol of the sprite; without a label it is hidden from screen readers."""
    return _shape(name, str(label))


@lru_cache(maxsize=1024)
def _shape(name: str, label: str) -> SafeString:
    """Kept: a table draws the same few in every row; the label is in the reader's language already."""
    if label:
        return format_html(
            '<svg class="shape shape-{0}" role="img" aria-label="{1}"><use href="#shape-{0}"/></svg>',
            name,
            label,
        )
    return format_html('<svg class="shape shape-{0}" aria-hidden="true"><use href="#shape-{0}"/></svg>', name)


@register.simple_tag
def opens(url: str, *, seen: str = "") -> SafeString:
    """Address a panel: a link that leads to its page, and with scripts opens it on this one.

    `seen` is the seal of what this page shows, so that the panel can say what has changed since.
    """
    address = f"{url}?{urlencode({'seen': seen})}" if seen else url
    # What encloses the link may select and swap in its own way: that is not the panel's.
    marks = 'href="{0}" hx-get="{0}" hx-target="#panel-place" hx-swap="innerHTML" hx-select="unset"'
    return format_html(marks, address)


@register.simple_tag
def state_shape(value: str) -> SafeString:
    """Draw a state's shape alone; its word is said to screen readers."""
    look = state_look(value)
    return _state_shape(look.tone, look.shape, str(look.label))


@lru_cache(maxsize=1024)
def _state_shape(tone: str, name: str, label: str) -> SafeString:
    return format_html('<span class="tone-{}" title="{}">{}</span>', tone, label, _shape(name, label))


@register.simple_tag
def state_tone(value: str) -> str:
    """Name a state's tone (mute, act, wait, ok, bad) for a class."""
    return state_look(value).tone.value


@register.inclusion_tag("components/grade.html")
def grade(value: str | None, *, short: bool = False) -> Context:
    """Draw a grade: letter and risk word; `short` leaves the word to screen readers (dense tables)."""
    return {"look": grade_look(value), "short": short}


@register.simple_tag
def role(value: str) -> str:
    """Name a role in the reader's language."""
    return role_name(value)


@register.simple_tag
def scope(value: str) -> str:
    """Say where a role holds."""
    return scope_name(value)


@register.inclusion_tag("components/person.html")
def person(user: object, *, acting_for: object = None) -> Context:
    """Draw a person's name; `acting_for` reads "B for A" (delegation). None is a dash."""
    return {"name": _person_name(user), "giver": _person_name(acting_for), "username": _username(user)}


@register.inclusion_tag("components/when.html")
def when(moment: datetime | None, *, exact: bool = False) -> Context:
    """Draw a time: "3 minutes ago (14:02)" within a day, else the date; `exact` names second and zone."""
    if moment is None:
        return {"moment": None}
    said = times.written(moment, now=timezone.now())
    return when_written(said._replace(relative="", absolute=times.exact(moment)) if exact else said)


@register.inclusion_tag("components/when.html")
def when_written(said: times.Written | None) -> Context:
    """Draw a time that is in words already; None is a dash."""
    return {"moment": said}


@register.inclusion_tag("components/left.html")
def left(moment: datetime) -> Context:
    """Draw the time left until a moment, or how late it is; true while the page stands open."""
    return {"moment": times.left(moment, now=timezone.now())}


@register.filter
def is_past(moment: datetime | None) -> bool:
    """Whether a moment is over by the clock of the page, which says beside it how long ago."""
    return moment is not None and moment <= timezone.now()


@register.simple_tag
def duration(seconds: float | None) -> str:
    """Say a span of seconds in at most two units; None is a dash."""
    return "–" if seconds is None else times.span(float(seconds))


@register.inclusion_tag("components/digest.html")
def digest(value: str | None) -> Context:
    """Draw a digest cut in the middle, with a button that copies it whole."""
    text = str(value or "")
    return {"value": text, "cut": _cut(text)}


@register.inclusion_tag("components/change.html")
def change(old: str | None, new: str | None) -> Context:
    """Draw "old → new" for a version or one value; a missing old one is new."""
    return {"old": old, "new": new}


@register.inclusion_tag("components/diff.html")
def diff(old: str | None, new: str | None, *, label: str = "") -> Context:
    """Draw the difference of two texts line by line."""
    return {"rows": diff_rows(old or "", new or ""), "label": label}


@register.inclusion_tag("components/empty.html")
def empty(text: str, action_label: str = "", action_url: str = "") -> Context:
    """Draw an empty list: one sentence and one next step."""
    return {"text": text, "action_label": action_label, "action_url": action_url}


@register.inclusion_tag("components/progress.html")
def progress(done: int, total: int, *, tone: str = "", label: str = "") -> Context:
    """Draw progress as "3/5", a bar and a percentage; a total of nought counts as not begun."""
    percent = round(100 * done / total) if total else 0
    return {"done": done, "total": total, "percent": percent, "tone": tone, "label": label}


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, *, narrow: bool = False) -> Context:
    """Draw a form field: label, widget, help and errors, tied together for screen readers."""
    widget = bound.field.widget
    return {
        "field": bound,
        "narrow": narrow,
        "checkbox": isinstance(widget, CheckboxInput),
        "group": isinstance(widget, (RadioSelect, CheckboxSelectMultiple)),
    }


@register.inclusion_tag("components/wave_graph.html")
def wave_graph(waves: Sequence[Mapping[str, Any]], *, label: str) -> Context:
    """Draw waves as columns of nodes; the page lists the same facts as text below it."""
    return {"graph": lay_out(waves), "label": label, "width": NODE_WIDTH, "height": NODE_HEIGHT}


@register.inclusion_tag("components/bar_chart.html")
def bar_chart(bars: Sequence[Bar], *, label: str) -> Context:
    """Draw a value over each label; the page shows the same numbers in a table."""
    return {"chart": lay_bars(bars), "label": label}


@register.inclusion_tag("components/hour_grid.html")
def hour_grid(values: Mapping[int, int], *, label: str) -> Context:
    """Draw how much falls on each hour of the week; keys count from Monday 00:00."""
    return {"grid": lay_hours(values), "label": label}


@register.inclusion_tag("components/spark.html")
def spark(drawn: Spark, *, label: str) -> Context:
    """Draw measurements and their limits; the words beside it say what they came to."""
    return {"spark": drawn, "label": label}


@register.inclusion_tag("components/life_line.html")
def life_line(points: Sequence[Mapping[str, Any]]) -> Context:
    """Draw where a release stands.

    Each point is {"label", "status", "note"} with status "done", "now", "wait", "bad" or "next".
    """
    shapes = {"done": "check", "now": "arc", "wait": "ring", "bad": "octagon-cross", "next": "dot"}
    drawn = [{**point, "shape": shapes.get(point["status"], "dot")} for point in points]
    return {"points": drawn}


@register.simple_tag(takes_context=True)
def nav_link(
    context: Context, url_name: str, label: str, *, icon: str = "", go: str = "", counts: bool = False
) -> SafeString:
    """Draw a link of the frame; nothing where the page does not exist. `go` is the letter after g."""
    match = getattr(context.get("request"), "resolver_match", None)
    link = {
        "url": _url_or_nothing(url_name),
        "label": str(label),
        "icon": icon,
        "go": go,
        "current": match is not None and _is_here(match, url_name=url_name),
    }
    if not counts:
        return _still_link(**link)
    numbers = {name: context.get(name) for name in ("waiting_count", "trouble_count")}
    return render_to_string(NAV_LINK, {**link, **numbers, "counts": True})


@lru_cache(maxsize=256)
def _still_link(**link: str | bool) -> SafeString:
    """Kept: every page draws the same few; the label is in the reader's language already."""
    return render_to_string(NAV_LINK, dict(link))


@register.inclusion_tag("components/notice.html")
def notice(text: str, *, tone: str = "act", title: str = "") -> Context:
    """Draw a box of one tone (act, ok, wait, bad, mute) with an optional title."""
    shapes = {"ok": "check", "wait": "triangle", "bad": "octagon-cross"}
    return {"text": text, "tone": tone, "title": title, "shape": shapes.get(tone, "info")}


@register.filter
def is_state(value: object) -> bool:
    """Tell whether a word is a listed state."""
    return str(value) in STATES


def _url_or_nothing(url_name: str) -> str:
    return _url_among(url_name, settings.ROOT_URLCONF)


@lru_cache(maxsize=256)
def _url_among(url_name: str, urls: str) -> str:  # noqa: ARG001  reverse looks there
    """Kept: every page has the same few; "" where there is no such page."""
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return ""


def _is_here(match: ResolverMatch, *, url_name: str) -> bool:
    namespace, _, name = url_name.rpartition(":")
    return match.namespace == namespace if namespace else match.view_name == name


def _cut(text: str) -> str:
    body = text.rpartition(":")[2]
    if len(body) <= SHOWN_WHOLE:
        return body
    return f"{body[:DIGEST_HEAD]}…{body[-DIGEST_TAIL:]}"


def _username(user: object) -> str:
    return str(getattr(user, "username", "") or "")


def _person_name(user: object) -> str:
    if user is None or user == "":
        return ""
    if isinstance(user, str):
        return user
    full_name = getattr(user, "get_full_name", None)
    spoken = str(full_name()) if callable(full_name) else ""
    return spoken or _username(user) or str(user)
