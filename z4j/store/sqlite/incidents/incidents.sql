-- SPDX-License-Identifier: AGPL-3.0-or-later
-- part_columns --
-- What lists show.
id, title, app, environment, began_at, ended_at, started_by, ended_by

-- list_incidents --
-- Newest first. Index: incident_began.
SELECT {part_columns} FROM incident WHERE (began_at, id) < (:at, :id) ORDER BY began_at DESC, id DESC LIMIT :limit;

-- list_open --
-- Ongoing ones. Index: incident_open.
SELECT {part_columns} FROM incident WHERE ended_at IS NULL ORDER BY began_at DESC LIMIT 20;

-- get_incident --
-- One, with its record. Index: the primary key.
SELECT {part_columns}, record FROM incident WHERE id = :id;

-- start --
-- A new one.
INSERT INTO incident (title, app, environment, began_at, started_by) VALUES (:title, :app, :environment, :began_at, :actor);

-- rename --
-- Its title. Index: the primary key.
UPDATE incident SET title = :title WHERE id = :id AND ended_at IS NULL;

-- end --
-- Ends it and stores its record. Index: the primary key.
UPDATE incident SET ended_at = :at, ended_by = :actor, record = :record WHERE id = :id AND ended_at IS NULL;

-- delete --
-- One less. Index: the primary key.
DELETE FROM incident WHERE id = :id;

-- delete_notes --
-- Its notes. Index: incident_note_incident.
DELETE FROM incident_note WHERE incident_id = :id;

-- add_note --
-- A note.
INSERT INTO incident_note (incident_id, at, author, text) SELECT :id, :at, :actor, :text
WHERE (SELECT count(*) FROM incident_note WHERE incident_id = :id) < :most;

-- list_notes --
-- Its notes, in order. Index: incident_note_incident.
SELECT at, author, text FROM incident_note WHERE incident_id = :id ORDER BY at, id;

-- list_findings --
-- Findings that were open in a range. Index: finding_ended, finding_open.
SELECT app, environment, level, title, text, began_at, ended_at FROM finding
WHERE id IN (SELECT id FROM finding WHERE ended_at >= :since UNION ALL SELECT id FROM finding WHERE ended_at IS NULL)
  AND began_at < :until AND (:app = '' OR app IN ('', :app)) AND (:environment = '' OR environment IN ('', :environment))
ORDER BY began_at, id LIMIT :limit;

-- list_errors --
-- Errors that were seen in a range, most failures first. Index: error_group_last.
SELECT g.id, g.title, g.first_at, g.last_at, g.failed FROM error_group AS g JOIN app AS a ON a.id = g.app_id
WHERE g.last_at >= :since AND g.first_at < :until AND g.merged_into IS NULL AND :app IN ('', a.name) ORDER BY g.failed DESC, g.id LIMIT :limit;

-- list_commands --
-- Actions of users in a range. Index: command_created.
SELECT created_at, asked_by, action, target, status, reason FROM command
WHERE created_at >= :since AND created_at < :until AND action != 'peek_queue' ORDER BY created_at LIMIT :limit;

-- list_alerts --
-- Alerts that opened in a range. Index: alert_opened.
SELECT id, title, severity, fired_at, acknowledged_by, resolved_at, opened_at FROM alert
WHERE opened_at >= :since AND opened_at < :until AND (:app = '' OR app IN ('', :app)) ORDER BY opened_at, id LIMIT :limit;
