"""The tables as of the first version, in one step: a new database is made in half the time."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [
        ('pipeline', '0001_ci_events'),
        ('pipeline', '0002_queued'),
    ]

    initial = True

    dependencies = [
        ('catalog', '0001_squashed_0006_restore_right'),
        ('releases', '0001_squashed_0010_operations'),
    ]

    operations = [
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('delivery_id', models.CharField(max_length=200)),
                ('event', models.JSONField(default=dict)),
                ('received_at', models.DateTimeField()),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='catalog.connection')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(fields=('connection', 'delivery_id'), name='pipeline_delivered_once')],
            },
        ),
        migrations.CreateModel(
            name='Arrival',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('services', models.JSONField(default=list)),
                ('starts', models.BooleanField(default=False)),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('started', 'started'), ('queued', 'queued'), ('scheduled', 'scheduled'), ('submitted', 'submitted'), ('replaced', 'replaced'), ('refused', 'refused')], default='waiting', max_length=10)),
                ('reason', models.TextField(blank=True)),
                ('tries', models.PositiveIntegerField(default=0)),
                ('wake_at', models.DateTimeField(blank=True, null=True)),
                ('give_up_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='arrivals', to='catalog.environment')),
                ('release', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='arrivals', to='releases.release')),
                ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='arrivals', to='pipeline.delivery')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['wake_at'], name='pipeline_arrivals_due')],
                'constraints': [models.UniqueConstraint(fields=('delivery', 'environment'), name='pipeline_arrives_once'), models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'started', 'queued', 'scheduled', 'submitted', 'replaced', 'refused'])), name='pipeline_arrival_state')],
            },
        ),
    ]
