"""When a nudge was last heard, so that one which got lost is sent again."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rollouts', '0011_order_reach'),
    ]

    operations = [
        migrations.AddField(
            model_name='rollout',
            name='heard_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
