-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_top --
-- The groups with the most stored failures that match the conditions that counters have, of those seen last; `also` if it has any. Index:
-- error_group_last, error_fingerprint_group, the unique one of error_place.
SELECT g.id, g.title, g.function, g.state, g.last_at, sum(p.failed), sum(p.retried + p.cured), count(DISTINCT p.name_id), max(n.text)
FROM (SELECT id, title, function, state, last_at FROM error_group
    WHERE merged_into IS NULL AND (:app_ids IS NULL OR (app_id IN (SELECT value FROM json_each(:app_ids))) = :app_in)
    ORDER BY last_at DESC LIMIT :looked_at) AS g
  JOIN error_fingerprint AS f ON f.error_group = g.id JOIN error_place AS p ON p.fingerprint = f.id
  LEFT JOIN name AS n ON n.id = p.name_id
WHERE (:name_ids IS NULL OR (p.name_id IN (SELECT value FROM json_each(:name_ids))) = :name_in)
  AND (:queue_ids IS NULL OR (p.queue_id IN (SELECT value FROM json_each(:queue_ids))) = :queue_in)
  AND (:engine_ids IS NULL OR (p.engine_id IN (SELECT value FROM json_each(:engine_ids))) = :engine_in)
  AND (:environment_ids IS NULL OR (p.environment_id IN (SELECT value FROM json_each(:environment_ids))) = :environment_in)
GROUP BY g.id HAVING sum(p.failed + p.retried + p.cured) > 0
ORDER BY g.id = :also DESC, sum(p.failed) DESC, g.last_at DESC LIMIT :limit;

-- get_groups --
-- Some groups, of merged ones those that show them. Index: the primary key.
WITH RECURSIVE shown(id, next) AS (
  SELECT id, merged_into FROM error_group WHERE id IN (SELECT value FROM json_each(:ids))
  UNION
  SELECT g.id, g.merged_into FROM shown AS s JOIN error_group AS g ON g.id = s.next)
SELECT g.id, g.title, g.function, g.state, g.last_at, 0, 0, 0, '' FROM shown AS s JOIN error_group AS g ON g.id = s.id WHERE s.next IS NULL;

-- count_groups_of --
-- Groups of the failures of some tasks, most first. Index: the primary keys.
SELECT g.id, g.title, g.function, g.state, g.last_at, count(*), 0, count(DISTINCT p.name_id), max(n.text)
FROM json_each(:ids) AS j JOIN error_task AS e ON e.task = j.value AND e.kind = 0 JOIN error_place AS p ON p.id = e.place
  JOIN error_fingerprint AS f ON f.id = e.fingerprint
  JOIN error_group AS g ON g.id = f.error_group LEFT JOIN name AS n ON n.id = p.name_id
GROUP BY g.id ORDER BY count(*) DESC, g.last_at DESC LIMIT :limit;

-- list_newest_releases --
-- Release of the newest failed task of some groups. Index: error_fingerprint_group, error_task_newest, the primary keys.
SELECT f.error_group, r.text, max(e.at) FROM json_each(:ids) AS j JOIN error_fingerprint AS f ON f.error_group = j.value
  JOIN error_task AS e ON e.fingerprint = f.id AND e.kind = 0
    AND e.at = (SELECT o.at FROM error_task AS o WHERE o.fingerprint = f.id AND o.kind = 0 ORDER BY o.at DESC LIMIT 1)
  JOIN task AS t ON t.id = e.task LEFT JOIN boot AS b ON b.id = t.boot_id LEFT JOIN name AS r ON r.id = b.release_id
GROUP BY f.error_group;
