"""Numbers and chains entries at commit, and forbids every later change (attacks.md, section 2)."""

from django.db import migrations

# The deferred trigger takes the chain's lock as the last thing in a transaction, so that no other lock is
# ever asked for while it is held. The text that is hashed is the RFC 8785 form of
# {"entry": …, "number": …, "previous": …}: its keys are in order and its parts are canonical already.
LINK = """
CREATE FUNCTION audit_link() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head record;
    next_number bigint := 1;
    previous_digest text := repeat('0', 64);
BEGIN
    PERFORM pg_advisory_xact_lock(2026112101);
    SELECT number, digest INTO head FROM audit_auditentry
        WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1;
    IF FOUND THEN
        next_number := head.number + 1;
        previous_digest := head.digest;
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
CREATE CONSTRAINT TRIGGER audit_link AFTER INSERT ON audit_auditentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_link();
"""

GUARD = """
CREATE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER audit_guard BEFORE UPDATE OR DELETE ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_guard();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();
CREATE FUNCTION audit_unnumbered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.number := NULL; NEW.previous := NULL; NEW.digest := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_unnumbered BEFORE INSERT ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_unnumbered();
"""

UNLINK = "DROP TRIGGER audit_link ON audit_auditentry; DROP FUNCTION audit_link();"
UNGUARD = """
DROP TRIGGER audit_no_truncate ON audit_auditentry;
DROP TRIGGER audit_guard ON audit_auditentry;
DROP FUNCTION audit_guard();
DROP TRIGGER audit_unnumbered ON audit_auditentry;
DROP FUNCTION audit_unnumbered();
"""


class Migration(migrations.Migration):
    """The chain and its guard."""

    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunSQL(LINK, UNLINK), migrations.RunSQL(GUARD, UNGUARD)]
