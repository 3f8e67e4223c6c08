"""A scope names what has as long a name as the catalog takes; back again goes it while none does."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0006_proposals_sent_back'),
    ]

    operations = [
        migrations.AlterField(
            model_name='requirement',
            name='scope',
            field=models.CharField(max_length=134),
        ),
    ]
