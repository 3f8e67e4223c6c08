"""What an event says of its order among others, so that one that comes late replaces nothing newer."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pipeline', '0003_why'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='happened_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='delivery',
            name='before',
            field=models.CharField(blank=True, db_default='', max_length=250),
        ),
    ]
