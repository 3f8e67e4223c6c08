"""Appends in one statement, and writes the indexes of linked entries once (docs/decisions/0002)."""

from django.db import migrations, models

# As in 0002, but for one trigger less: numbers that come along are refused here rather than overwritten before.
# The search path ends with the session's own tables, so that none of these can stand in for the record.
LINK = """
CREATE OR REPLACE FUNCTION audit_link() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
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
DROP TRIGGER audit_unnumbered ON audit_auditentry;
DROP FUNCTION audit_unnumbered();
"""
# The same refusals as in 0002, so that no function is called where nothing is refused.
GUARD = """
DROP TRIGGER audit_guard ON audit_auditentry;
CREATE TRIGGER audit_guard
    BEFORE DELETE OR UPDATE OF id, at, actor, action, subject_kind, subject, release, service, body
    ON audit_auditentry FOR EACH ROW EXECUTE FUNCTION audit_guard();
CREATE TRIGGER audit_guard_link BEFORE UPDATE OF number, previous, digest ON audit_auditentry
    FOR EACH ROW WHEN (OLD.number IS NOT NULL OR pg_trigger_depth() = 0) EXECUTE FUNCTION audit_guard();
CREATE OR REPLACE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the record is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
"""
GUARD_BEFORE = """
DROP TRIGGER audit_guard_link ON audit_auditentry;
DROP TRIGGER audit_guard ON audit_auditentry;
CREATE TRIGGER audit_guard BEFORE UPDATE OR DELETE ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_guard();
CREATE OR REPLACE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.number IS NULL AND pg_trigger_depth() > 1
       AND ROW(OLD.id, OLD.at, OLD.actor, OLD.action, OLD.subject_kind, OLD.subject, OLD.release,
               OLD.service, OLD.body)
         IS NOT DISTINCT FROM
           ROW(NEW.id, NEW.at, NEW.actor, NEW.action, NEW.subject_kind, NEW.subject, NEW.release,
               NEW.service, NEW.body) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the record is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
"""
LINK_BEFORE = """
CREATE FUNCTION audit_unnumbered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.number := NULL; NEW.previous := NULL; NEW.digest := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_unnumbered BEFORE INSERT ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_unnumbered();
ALTER FUNCTION audit_link() SET search_path FROM CURRENT;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0005_verification'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='auditentry',
            name='audit_subject',
        ),
        migrations.RemoveIndex(
            model_name='auditentry',
            name='audit_service',
        ),
        migrations.AlterField(
            model_name='auditentry',
            name='action',
            field=models.CharField(max_length=60),
        ),
        migrations.AlterField(
            model_name='auditentry',
            name='actor',
            field=models.CharField(max_length=150),
        ),
        migrations.AlterField(
            model_name='auditentry',
            name='digest',
            field=models.CharField(editable=False, max_length=64, null=True),
        ),
        migrations.AlterField(
            model_name='auditentry',
            name='number',
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='auditentry',
            name='release',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(condition=models.Q(('number__isnull', False)), fields=['actor'], name='audit_actor'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(condition=models.Q(('number__isnull', False)), fields=['action'], name='audit_action'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(condition=models.Q(('number__isnull', False)), fields=['subject_kind', 'subject'], name='audit_of_subject'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(condition=models.Q(('number__isnull', False), models.Q(('service', ''), _negated=True)), fields=['service', '-number'], name='audit_of_service'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(condition=models.Q(('release__isnull', False)), fields=['release'], name='audit_release'),
        ),
        migrations.AddConstraint(
            model_name='auditentry',
            constraint=models.UniqueConstraint(condition=models.Q(('number__isnull', False)), fields=('number',), name='audit_number'),
        ),
        migrations.RunSQL(LINK, LINK_BEFORE),
        migrations.RunSQL(GUARD, GUARD_BEFORE),
    ]
