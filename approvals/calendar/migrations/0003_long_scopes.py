"""A scope names what has as long a name as the catalog takes; back again goes it while none does."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('calendar', '0002_open_hours'),
    ]

    operations = [
        migrations.AlterField(
            model_name='freeze',
            name='scope',
            field=models.CharField(max_length=134),
        ),
        migrations.AlterField(
            model_name='openhours',
            name='scope',
            field=models.CharField(max_length=134),
        ),
    ]
