-- SPDX-License-Identifier: AGPL-3.0-or-later
-- read_tasks --
-- Tasks whose failures may have changed. Index: the primary key.
SELECT id, app_id, state, state_key, state_at, boot_id, pid, reason, error_type, error, environment_id, engine_id, queue_id, name_id
FROM task WHERE id IN (SELECT value FROM json_each(?));

-- read_runs --
-- Their attempts. Index: the primary key.
SELECT task, state_key, state_at, boot_id, pid, reason, error_type, error, traceback
FROM run WHERE task IN (SELECT value FROM json_each(?));

-- read_counted --
-- What they added to the counts so far. Index: the primary key.
SELECT task, fingerprint, kind, at, place FROM error_task WHERE task IN (SELECT value FROM json_each(?));

-- list_counted --
-- Those of these tasks that added something. Index: the primary key.
SELECT DISTINCT task FROM error_task WHERE task IN (SELECT value FROM json_each(?));

-- add_counted --
-- Something a task adds.
INSERT INTO error_task (task, fingerprint, kind, at, place) VALUES (?, ?, ?, ?, ?);

-- drop_counted --
-- Something a task does not add any longer. Index: the primary key.
DELETE FROM error_task WHERE task = ? AND fingerprint = ? AND kind = ? AND at = ? AND place = ?;

-- drop_tasks --
-- All that deleted tasks added. Index: the primary key.
DELETE FROM error_task WHERE task IN (SELECT value FROM json_each(?)) RETURNING fingerprint, kind, place;

-- find_fingerprint --
-- A fingerprint of an app, and its group. Index: the unique one.
SELECT id, error_group FROM error_fingerprint WHERE app_id = ? AND key = ?;

-- read_splits --
-- Splits of fingerprints, oldest first. There are some hundreds at most.
SELECT s.fingerprint, s.kind, s.pattern, s.part, f.error_group FROM error_split AS s JOIN error_fingerprint AS f ON f.id = s.part
ORDER BY s.id;

-- count_fingerprints --
-- How many an app has. Index: the unique one.
SELECT count(*) FROM error_fingerprint WHERE app_id = ?;

-- add_group --
-- The group of a new fingerprint.
INSERT INTO error_group (app_id, title, error_type, message, function, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id;

-- add_fingerprint --
-- A new fingerprint.
INSERT INTO error_fingerprint (app_id, key, error_group, home, first_at, last_at) VALUES (?1, ?2, ?3, ?3, ?4, ?5) RETURNING id;

-- widen_fingerprint --
-- When it was seen.
UPDATE error_fingerprint SET first_at = min(first_at, ?1), last_at = max(last_at, ?2) WHERE id = ?3;

-- widen_group --
-- The same.
UPDATE error_group SET first_at = min(first_at, ?1), last_at = max(last_at, ?2) WHERE id = ?3;

-- find_place --
-- A place of a fingerprint. Index: the unique one.
SELECT id FROM error_place WHERE fingerprint = ? AND environment_id = ? AND engine_id = ? AND queue_id = ? AND name_id = ?;

-- add_place --
-- A new one.
INSERT INTO error_place (fingerprint, environment_id, engine_id, queue_id, name_id) VALUES (?, ?, ?, ?, ?) RETURNING id;

-- sum_fingerprint --
-- More or less of a fingerprint.
UPDATE error_fingerprint SET stored = stored + ?2, failed = failed + ?3, retried = retried + ?4, cured = cured + ?5 WHERE id = ?1;

-- sum_group --
-- The same of the group that shows it. Index: the primary keys.
UPDATE error_group SET stored = stored + ?2, failed = failed + ?3, retried = retried + ?4, cured = cured + ?5
WHERE id = (SELECT error_group FROM error_fingerprint WHERE id = ?1);

-- sum_place --
-- The same of a place, of stored tasks only.
UPDATE error_place SET failed = failed + ?2, retried = retried + ?3, cured = cured + ?4 WHERE id = ?1;

-- sum_hour --
-- The same of an hour.
INSERT INTO error_hour (fingerprint, hour, failed, retried, cured) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET failed = failed + excluded.failed, retried = retried + excluded.retried, cured = cured + excluded.cured;

-- regress --
-- A resolved group whose error came back: in any release, or in one that had not been seen when it was resolved. Index: the primary keys.
UPDATE error_group SET state = 3, state_at = :at, state_by = '' WHERE id = :id AND state = 1 AND state_at < :at AND (releases IS NULL OR EXISTS (
  SELECT 1 FROM boot AS b JOIN name AS n ON n.id = b.release_id
  WHERE b.id = :boot_id AND n.text NOT IN (SELECT value FROM json_each(releases))));

-- add_action --
-- What was done with a group.
INSERT INTO error_action (error_group, at, actor, action, detail) VALUES (?, ?, ?, ?, ?);

-- delete_old_actions --
-- All but the last of them. Index: error_action_group.
DELETE FROM error_action WHERE error_group = ?1 AND id <= (
  SELECT o.id FROM error_action AS o WHERE o.error_group = ?1 ORDER BY o.id DESC LIMIT 1 OFFSET ?2);
