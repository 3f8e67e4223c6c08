"""Corrections of incidents: what was changed, and links that were taken back."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('incidents', '0001_incidents'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='entry',
            name='incidents_entry_kind',
        ),
        migrations.RemoveConstraint(
            model_name='entry',
            name='incidents_linked_once',
        ),
        migrations.AddField(
            model_name='entry',
            name='changes',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='entry',
            name='undone_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='entry',
            name='kind',
            field=models.CharField(choices=[('note', 'note'), ('told', 'notice to the team'), ('linked', 'release linked'), ('unlinked', 'link taken back'), ('corrected', 'corrected')], max_length=10),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['note', 'told', 'linked', 'unlinked', 'corrected'])), name='incidents_entry_kind'),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'linked'), ('undone_at', None)), fields=('incident', 'release'), name='incidents_linked_once'),
        ),
    ]
