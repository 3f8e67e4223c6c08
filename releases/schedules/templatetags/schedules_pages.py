"""What other pages show of the recovery of a service."""

from typing import Any

from django import template

from releases.catalog.models import Environment, Service
from releases.schedules import recovery, wording

register = template.Library()
register.filter("recovered_text", wording.recovered_text)
register.filter("recoveries_text", wording.recoveries_text)


@register.inclusion_tag("schedules/_recovery.html")
def recovery_here(service: Service, environment: Environment) -> dict[str, Any]:
    """Draw the aims of a service beside what was measured; nothing where it has neither aim nor backup."""
    return {"recoveries": recovery.recovery_here(service, environment)}
