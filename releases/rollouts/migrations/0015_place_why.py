"""Why a start was given back, as facts: each reader gets it in their own language."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rollouts', '0014_under_way_from_the_record'),
    ]

    operations = [
        migrations.AddField(
            model_name='queueplace',
            name='why',
            field=models.JSONField(blank=True, null=True),
        ),
    ]
