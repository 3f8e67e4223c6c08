"""What pages say of how a release was rolled out."""

from typing import Any

from django import template

from portal.people.models import User
from releases.rollouts import texts, verdicts
from releases.rollouts.models import Rollout
from releases.rollouts.overview import troubles_of

register = template.Library()


@register.filter
def verdict(rollout: Rollout) -> verdicts.Verdict:
    """Whether exactly what was approved runs, or the difference."""
    return verdicts.verdict_of(rollout)


@register.inclusion_tag("rollouts/_why.html")
def why(rollout: Rollout) -> dict[str, Any]:
    """Draw which steps hold a rollout up, and the cluster's own words, each leading to its panel."""
    return {"rollout": rollout, "troubles": troubles_of(rollout)}


register.filter("rollout_name", texts.name_of)


@register.filter
def called(username: str) -> str:
    """What people call somebody of whom a row kept the account."""
    user = User.objects.filter(username=username).first()
    return user.get_full_name() if user else username
