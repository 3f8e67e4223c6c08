"""What the pages of passkeys need besides."""

import json
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.conf import settings

register = template.Library()


@register.filter
def as_json(value: Any) -> str:
    """The value as JSON, for an attribute that a script reads."""
    return json.dumps(value)


@register.simple_tag(takes_context=True)
def passkey_elsewhere(context: dict[str, Any]) -> str:
    """The address of this page at which browsers give passkeys; "" where it is this one already."""
    request = context["request"]
    host = urlsplit(f"//{request.get_host()}").hostname
    if host == urlsplit(settings.PASSKEY_ORIGIN).hostname:
        return ""
    return f"{settings.PASSKEY_ORIGIN}{request.get_full_path()}"
