"""How long a rollout was under way, without what people were awaited: what the time left rests on."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rollouts', '0012_heard_at'),
    ]

    operations = [
        migrations.AddField(
            model_name='rollout',
            name='under_way_seconds',
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='rollout',
            name='under_way_since',
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
