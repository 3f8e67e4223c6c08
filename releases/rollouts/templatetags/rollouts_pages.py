"""What pages say of how a release was rolled out."""

from django import template

from portal.people.models import User
from releases.rollouts import verdicts
from releases.rollouts.models import Rollout

register = template.Library()


@register.filter
def verdict(rollout: Rollout) -> verdicts.Verdict:
    """Whether exactly what was approved runs, or the difference."""
    return verdicts.verdict_of(rollout)


@register.filter
def called(username: str) -> str:
    """What people call somebody of whom a row kept the account."""
    user = User.objects.filter(username=username).first()
    return user.get_full_name() if user else username
