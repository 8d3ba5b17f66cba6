-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_rules --
-- All rules. Scans the table, which is small.
SELECT id, definition, changed_by, changed_at FROM alert_rule ORDER BY id;

-- add_rule --
-- A new one.
INSERT INTO alert_rule (definition, changed_by, changed_at) VALUES (:definition, :actor, :at);

-- change_rule --
-- Its definition. Index: the primary key.
UPDATE alert_rule SET definition = :definition, changed_by = :actor, changed_at = :at WHERE id = :id;

-- delete_rule --
-- One less. Index: the primary key.
DELETE FROM alert_rule WHERE id = :id;

-- list_maintenance --
-- Windows that end after a time. Index: maintenance_end.
SELECT id, app, environment, begins_at, ends_at, reason, made_by, at FROM maintenance WHERE ends_at > :since ORDER BY ends_at, id LIMIT 500;

-- add_maintenance --
-- A new one.
INSERT INTO maintenance (app, environment, begins_at, ends_at, reason, made_by, at)
VALUES (:app, :environment, :begins_at, :ends_at, :reason, :actor, :at);

-- end_maintenance --
-- It ends now, or never begins. Index: the primary key.
UPDATE maintenance SET begins_at = min(begins_at, :at), ends_at = :at WHERE id = :id AND ends_at > :at;

-- delete_maintenance --
-- Some that ended before a time. Index: maintenance_end.
DELETE FROM maintenance WHERE id IN (SELECT id FROM maintenance WHERE ends_at < :before LIMIT :limit);
