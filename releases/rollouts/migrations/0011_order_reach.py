"""Where an order goes to canaries in the cluster."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rollouts', '0010_queue'),
    ]

    operations = [
        migrations.AddField(
            model_name='order',
            name='reach',
            field=models.JSONField(blank=True, null=True),
        ),
    ]
