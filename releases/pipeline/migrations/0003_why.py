"""What became of an event, as facts: each reader gets it in their own language."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pipeline', '0002_queued'),
    ]

    operations = [
        migrations.AddField(
            model_name='arrival',
            name='why',
            field=models.JSONField(blank=True, null=True),
        ),
    ]
