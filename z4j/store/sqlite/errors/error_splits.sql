-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_fingerprints --
-- The fingerprints of a group that is shown, with the app. Index: error_fingerprint_group.
SELECT f.id, f.key, f.app_id FROM error_fingerprint AS f JOIN error_group AS g ON g.id = f.error_group
WHERE f.error_group = :id AND g.merged_into IS NULL ORDER BY f.id;

-- count_splits --
-- How many splits an app has, and how many fingerprints of a group have this one already. Scans splits only.
SELECT count(*), coalesce(sum(f.error_group = :id AND s.kind = :kind AND s.pattern = :pattern), 0)
FROM error_split AS s JOIN error_fingerprint AS f ON f.id = s.fingerprint WHERE f.app_id = :app_id;

-- add_part_group --
-- The group of a part, like the one it is split off from. Its times are those of its failures, once there are some.
INSERT INTO error_group (app_id, title, error_type, message, function, first_at, last_at)
SELECT app_id, CASE WHEN :message = '' THEN title WHEN error_type = '' THEN :message ELSE error_type || ': ' || :message END, error_type,
  CASE WHEN :message = '' THEN message ELSE :message END, CASE WHEN :function = '' THEN function ELSE :function END, :first_at, :last_at
FROM error_group WHERE id = :id RETURNING id;

-- add_split --
-- A split of a fingerprint; no stored failure was read yet.
INSERT INTO error_split (fingerprint, kind, pattern, part, left_kind, left_at, left_task)
VALUES (:fingerprint, :kind, :pattern, :part, 0, :at, :task) RETURNING id;

-- list_unfinished --
-- Splits with unread stored failures. Scans splits only.
SELECT id FROM error_split WHERE left_kind IS NOT NULL ORDER BY id;

-- get_unfinished --
-- Progress of one of them. Index: the primary key.
SELECT fingerprint, left_kind, left_at, left_task FROM error_split WHERE id = :id AND left_kind IS NOT NULL;

-- put_left --
-- Stores the progress.
UPDATE error_split SET left_kind = :kind, left_at = :at, left_task = :task WHERE id = :id;

-- see_again --
-- When a fingerprint was seen, of which a part was split off: of the failures that are left. The newest ones are always stored; the oldest
-- only if no task was deleted. Index: error_task_newest, from its ends.
UPDATE error_fingerprint SET
  last_at = coalesce((SELECT max(of_kind.at) FROM (SELECT
    (SELECT e.at FROM error_task AS e WHERE e.fingerprint = :id AND e.kind = j.value ORDER BY e.at DESC LIMIT 1) AS at
    FROM json_each('[0,1,2]') AS j) AS of_kind), last_at),
  first_at = CASE WHEN stored = failed + retried + cured THEN coalesce((SELECT min(of_kind.at) FROM (SELECT
    (SELECT e.at FROM error_task AS e WHERE e.fingerprint = :id AND e.kind = j.value ORDER BY e.at LIMIT 1) AS at
    FROM json_each('[0,1,2]') AS j) AS of_kind), first_at) ELSE first_at END
WHERE id = :id RETURNING error_group;

-- has_failures --
-- Whether a stored failure is counted by a fingerprint. Index: error_task_newest.
SELECT EXISTS (SELECT 1 FROM error_task WHERE fingerprint = :id);

-- list_messages --
-- What some failures, (task, time), reported. Index: the primary keys.
SELECT coalesce(r.error, t.error, ''), coalesce(r.traceback, '')
FROM json_each(:failures) AS j JOIN task AS t ON t.id = j.value ->> 0 LEFT JOIN run AS r ON r.task = t.id AND r.state_at = j.value ->> 1;

-- list_parts --
-- Parts that were split off from a group. Scans splits; of each the primary key.
SELECT p.error_group, g.title, s.kind, s.pattern, max(s.left_kind IS NOT NULL)
FROM error_split AS s JOIN error_fingerprint AS f ON f.id = s.fingerprint JOIN error_fingerprint AS p ON p.id = s.part
  JOIN error_group AS g ON g.id = p.error_group
WHERE f.error_group = :id AND p.error_group != :id GROUP BY p.error_group, s.kind, s.pattern ORDER BY min(s.id);

-- find_source --
-- The origin of a group that was split off. Scans splits; of each the primary key.
SELECT f.error_group, g.title, s.kind, s.pattern, s.left_kind IS NOT NULL
FROM error_split AS s JOIN error_fingerprint AS p ON p.id = s.part JOIN error_fingerprint AS f ON f.id = s.fingerprint
  JOIN error_group AS g ON g.id = f.error_group
WHERE p.home = :id AND p.error_group = :id AND f.error_group != :id ORDER BY s.id LIMIT 1;
