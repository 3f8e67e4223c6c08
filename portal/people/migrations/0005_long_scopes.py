"""A scope names what has as long a name as the catalog takes; back again goes it while none does."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('people', '0004_delegation'),
    ]

    operations = [
        migrations.AlterField(
            model_name='delegation',
            name='scope',
            field=models.CharField(max_length=134),
        ),
        migrations.AlterField(
            model_name='roleassignment',
            name='scope',
            field=models.CharField(max_length=134),
        ),
    ]
