"""Whether an event asked for a start that waits: nobody is there who could plan it anew."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rollouts', '0015_place_why'),
    ]

    operations = [
        migrations.AddField(
            model_name='queueplace',
            name='door',
            field=models.CharField(blank=True, db_default='', max_length=10),
        ),
    ]
