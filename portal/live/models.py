"""Topics and their numbered events."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


class Topic(models.Model):
    """A stream that can be watched, such as "rollout.7"; `last` is the highest number given."""

    name = models.CharField(max_length=120, primary_key=True)
    last = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """One thing that happened; its text is made from kind and data in the reader's language."""

    topic = models.ForeignKey(Topic, models.CASCADE, related_name="events")
    number = models.BigIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=60)
    data = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "number"], name="live_event_number")]
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.topic_id} {self.number} {self.kind}"
