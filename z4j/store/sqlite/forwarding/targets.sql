-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_targets --
-- All targets. Scans the table, which people fill.
SELECT id, name, kind, shown, has_audit, has_alerts, actions, is_enabled, changed_by, changed_at, audit_after, alert_after, sent, sent_at,
  failing_since, attempts, next_at, error FROM forward_target ORDER BY name;

-- read_sealed --
-- What is needed to deliver. Index: the primary key.
SELECT kind, sealed FROM forward_target WHERE id = :id;

-- read_ends --
-- The last row of each stream: the ends of two primary keys.
SELECT (SELECT max(seq) FROM audit), (SELECT max(id) FROM alert_event);

-- add_target --
-- A new one; its secrets follow, because they are encrypted for its id.
INSERT INTO forward_target (name, kind, shown, sealed, has_audit, has_alerts, actions, is_enabled, changed_by, changed_at, audit_after, alert_after)
VALUES (:name, :kind, :shown, '', :has_audit, :has_alerts, :actions, :is_enabled, :actor, :at, :audit, :alerts);

-- change_target --
-- Its address and what it gets; its cursors stay. Index: the primary key.
UPDATE forward_target SET name = :name, kind = :kind, shown = :shown, sealed = :sealed, has_audit = :has_audit,
  alert_after = iif(has_alerts = 0 AND :has_alerts = 1, max(alert_after, :alerts), alert_after),
  audit_after = iif(has_audit = 0 AND :has_audit = 1, max(audit_after, :audit), audit_after), has_alerts = :has_alerts, actions = :actions,
  is_enabled = :is_enabled, changed_by = :actor, changed_at = :at, failing_since = NULL, attempts = 0, next_at = 0, error = ''
WHERE id = :id;

-- set_enabled --
-- Whether anything is sent. Index: the primary key.
UPDATE forward_target SET is_enabled = :is_enabled, changed_by = :actor, changed_at = :at, failing_since = NULL, attempts = 0, next_at = 0,
  error = '' WHERE id = :id;

-- delete_target --
-- One less. Index: the primary key.
DELETE FROM forward_target WHERE id = :id;

-- move_cursor --
-- It has everything up to there. Index: the primary key.
UPDATE forward_target SET audit_after = max(audit_after, :audit), alert_after = max(alert_after, :alerts), sent = sent + :sent,
  sent_at = iif(:sent > 0, :at, sent_at), failing_since = NULL, attempts = 0, next_at = 0, error = ''
WHERE id = :id AND changed_at = :changed_at;

-- note_failed --
-- It has not. Index: the primary key.
UPDATE forward_target SET failing_since = coalesce(failing_since, :at), attempts = attempts + 1, next_at = :next_at, error = :error
WHERE id = :id;

-- oldest_waiting --
-- When the oldest row after the cursors was made; NULL: no row of that stream waits. Index: the primary keys.
SELECT min(at) FROM (
  SELECT (SELECT at FROM audit WHERE :audit IS NOT NULL AND seq > :audit ORDER BY seq LIMIT 1) AS at
  UNION ALL SELECT (SELECT at FROM alert_event WHERE :alerts IS NOT NULL AND id > :alerts ORDER BY id LIMIT 1)
);
