"""What a release's page says of how it was rolled out."""

from django import template

from releases.rollouts import verdicts
from releases.rollouts.models import Rollout

register = template.Library()


@register.filter
def verdict(rollout: Rollout) -> verdicts.Verdict:
    """Whether exactly what was approved runs, or the difference."""
    return verdicts.verdict_of(rollout)
