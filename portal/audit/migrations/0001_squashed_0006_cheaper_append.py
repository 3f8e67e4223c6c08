"""The tables as of the first version, in one step: a new database is made in half the time; the record's chain and its guard (attacks.md, section 2)."""

import django.db.models.deletion
from django.db import migrations, models


# The deferred trigger takes the chain's lock as the last thing in a transaction, so that no other lock is
# ever asked for while it is held. The text that is hashed is the RFC 8785 form of
# {"entry": …, "number": …, "previous": …}: its keys are in order and its parts are canonical already.
# It runs with the rights of its owner, as the application's own role has none to change the table (`manage.py audit
# grants`); the search path ends with the session's own tables, so that none of these can stand in for the record.
LINK = """
CREATE FUNCTION audit_link() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    next_number bigint;
    previous_digest text;
BEGIN
    IF NEW.number IS NOT NULL OR NEW.previous IS NOT NULL OR NEW.digest IS NOT NULL THEN
        RAISE EXCEPTION 'the database numbers the record' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_advisory_xact_lock(2026112101);
    SELECT number + 1, digest INTO next_number, previous_digest FROM audit_auditentry
        WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1;
    IF NOT FOUND THEN
        next_number := 1;
        previous_digest := repeat('0', 64);
    END IF;
    UPDATE audit_auditentry SET
        number = next_number,
        previous = previous_digest,
        digest = encode(sha256(convert_to(
            '{"entry":' || NEW.body || ',"number":' || next_number || ',"previous":"' || previous_digest || '"}',
            'UTF8')), 'hex')
        WHERE id = NEW.id;
    RETURN NULL;
END $$;
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION audit_link() SET search_path = %I, pg_temp', current_schema());
END $$;
CREATE CONSTRAINT TRIGGER audit_link AFTER INSERT ON audit_auditentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_link();
"""
UNLINK = "DROP TRIGGER audit_link ON audit_auditentry; DROP FUNCTION audit_link();"
GUARD = """
CREATE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the record is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_guard
    BEFORE DELETE OR UPDATE OF id, at, actor, action, subject_kind, subject, release, service, body
    ON audit_auditentry FOR EACH ROW EXECUTE FUNCTION audit_guard();
CREATE TRIGGER audit_guard_link BEFORE UPDATE OF number, previous, digest ON audit_auditentry
    FOR EACH ROW WHEN (OLD.number IS NOT NULL OR pg_trigger_depth() = 0) EXECUTE FUNCTION audit_guard();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the record is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_checkpoint_guard BEFORE UPDATE OR DELETE ON audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoint_no_truncate BEFORE TRUNCATE ON audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
"""
UNGUARD = """
DROP TRIGGER audit_checkpoint_no_truncate ON audit_checkpoint;
DROP TRIGGER audit_checkpoint_guard ON audit_checkpoint;
DROP FUNCTION audit_refuse();
DROP TRIGGER audit_no_truncate ON audit_auditentry;
DROP TRIGGER audit_guard_link ON audit_auditentry;
DROP TRIGGER audit_guard ON audit_auditentry;
DROP FUNCTION audit_guard();
"""


class Migration(migrations.Migration):

    replaces = [
        ('audit', '0001_initial'),
        ('audit', '0002_chain'),
        ('audit', '0003_chain_check'),
        ('audit', '0004_checkpoints'),
        ('audit', '0005_verification'),
        ('audit', '0006_cheaper_append'),
    ]

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField(editable=False, null=True)),
                ('at', models.DateTimeField(db_index=True)),
                ('actor', models.CharField(max_length=150)),
                ('action', models.CharField(max_length=60)),
                ('subject_kind', models.CharField(max_length=40)),
                ('subject', models.CharField(max_length=200)),
                ('release', models.BigIntegerField(null=True)),
                ('service', models.CharField(blank=True, max_length=120)),
                ('body', models.TextField()),
                ('previous', models.CharField(editable=False, max_length=64, null=True)),
                ('digest', models.CharField(editable=False, max_length=64, null=True)),
            ],
            options={
                'ordering': ['-number'],
                'indexes': [models.Index(condition=models.Q(('number__isnull', False)), fields=['actor'], name='audit_actor'), models.Index(condition=models.Q(('number__isnull', False)), fields=['action'], name='audit_action'), models.Index(condition=models.Q(('number__isnull', False)), fields=['subject_kind', 'subject'], name='audit_of_subject'), models.Index(condition=models.Q(('number__isnull', False), models.Q(('service', ''), _negated=True)), fields=['service', '-number'], name='audit_of_service'), models.Index(condition=models.Q(('release__isnull', False)), fields=['release'], name='audit_release')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('number__isnull', False)), fields=('number',), name='audit_number')],
            },
        ),
        migrations.CreateModel(
            name='ChainCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_index=True)),
                ('entries', models.BigIntegerField()),
                ('head', models.CharField(max_length=64)),
                ('broken_at', models.BigIntegerField(null=True)),
                ('fault', models.CharField(blank=True, max_length=20)),
                ('text', models.CharField(blank=True, max_length=500)),
                ('checkpoints', models.BigIntegerField(default=0)),
                ('signed', models.BigIntegerField(default=0)),
                ('code', models.CharField(blank=True, max_length=20)),
                ('removed', models.BigIntegerField(default=0)),
                ('values', models.JSONField(default=dict)),
            ],
            options={
                'ordering': ['-at'],
            },
        ),
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField(unique=True)),
                ('first', models.BigIntegerField(unique=True)),
                ('head', models.CharField(max_length=64)),
                ('root', models.CharField(max_length=64)),
                ('at', models.DateTimeField()),
                ('key', models.CharField(max_length=16)),
                ('signature', models.CharField(max_length=128)),
            ],
            options={
                'ordering': ['-number'],
            },
        ),
        migrations.CreateModel(
            name='Verification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('running', models.BooleanField(default=True)),
                ('asked_by', models.CharField(blank=True, max_length=150)),
                ('begun_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
                ('total', models.BigIntegerField()),
                ('entries', models.BigIntegerField(default=0)),
                ('pieces', models.BigIntegerField(default=0)),
                ('seconds', models.FloatField(default=0)),
                ('told', models.BigIntegerField(default=0)),
                ('so_far', models.JSONField(null=True)),
                ('check_made', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='verification', to='audit.chaincheck')),
            ],
            options={
                'ordering': ['-begun_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('running', True)), fields=('running',), name='audit_one_verification')],
            },
        ),
        migrations.RunSQL(LINK, UNLINK),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
