-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_groups --
-- Groups that match, seen last before a position. An app has at most some thousands of them. Index: error_group_last; of each group
-- error_fingerprint_group and the unique index of error_place.
SELECT g.id, a.name, g.app_id, g.title, g.error_type, g.message, g.function, g.first_at, g.last_at, g.failed, g.retried, g.cured, g.stored,
  g.state, g.state_at, g.state_by, g.releases, g.ignore_until, g.ignore_rate, g.ignore_total, g.assigned_to, g.note, g.runbook, g.merged_into
FROM error_group AS g JOIN app AS a ON a.id = g.app_id
WHERE (g.last_at, g.id) < (:at, :id) AND g.merged_into IS NULL AND (:states >> g.state) & 1 AND :app_id IN (-1, g.app_id)
  AND (:assigned = '' OR g.assigned_to = :assigned)
  AND ((:environment_id = -1 AND :engine_id = -1 AND :queue_id = -1 AND :name_id = -1) OR EXISTS (
    SELECT 1 FROM error_fingerprint AS f JOIN error_place AS p ON p.fingerprint = f.id
    WHERE f.error_group = g.id AND :environment_id IN (-1, p.environment_id) AND :engine_id IN (-1, p.engine_id)
      AND :queue_id IN (-1, p.queue_id) AND :name_id IN (-1, p.name_id)))
ORDER BY g.last_at DESC, g.id DESC LIMIT :limit;

-- get_group --
-- One group, also one that was merged into another. Index: the primary key.
SELECT g.id, a.name, g.app_id, g.title, g.error_type, g.message, g.function, g.first_at, g.last_at, g.failed, g.retried, g.cured, g.stored,
  g.state, g.state_at, g.state_by, g.releases, g.ignore_until, g.ignore_rate, g.ignore_total, g.assigned_to, g.note, g.runbook, g.merged_into
FROM error_group AS g JOIN app AS a ON a.id = g.app_id WHERE g.id = :id;

-- list_merged --
-- The groups that were merged into one. Index: error_group_merged.
SELECT id, title, function FROM error_group WHERE merged_into = :id ORDER BY id;

-- list_fingerprints --
-- The fingerprints of a group. Index: error_fingerprint_group.
SELECT id FROM error_fingerprint WHERE error_group = :id ORDER BY id;

-- list_hours --
-- What happened in the hours since one, of some groups. Index: error_fingerprint_group, the primary key of error_hour.
SELECT f.error_group, h.hour, sum(h.failed), sum(h.retried), sum(h.cured)
FROM json_each(:ids) AS j JOIN error_fingerprint AS f ON f.error_group = j.value
  JOIN error_hour AS h ON h.fingerprint = f.id AND h.hour >= :since
GROUP BY f.error_group, h.hour;

-- list_places --
-- Where stored failures of some groups happened, at most a number of places. Index: error_fingerprint_group, the unique one of error_place.
SELECT f.error_group, e.text, g.text, q.text, n.text, sum(p.failed), sum(p.retried), sum(p.cured), p.name_id
FROM json_each(:ids) AS j JOIN error_fingerprint AS f ON f.error_group = j.value JOIN error_place AS p ON p.fingerprint = f.id
  LEFT JOIN name AS e ON e.id = p.environment_id LEFT JOIN name AS g ON g.id = p.engine_id
  LEFT JOIN name AS q ON q.id = p.queue_id LEFT JOIN name AS n ON n.id = p.name_id
GROUP BY f.error_group, p.environment_id, p.engine_id, p.queue_id, p.name_id
HAVING sum(p.failed + p.retried + p.cured) > 0
ORDER BY sum(p.failed + p.retried + p.cured) DESC LIMIT :limit;

-- list_newest --
-- The newest tasks of a fingerprint that failed, or whose attempts did. Index: error_task_newest.
SELECT task, at FROM error_task WHERE fingerprint = :fingerprint AND kind = :kind AND (at, task) < (:at, :task)
ORDER BY at DESC, task DESC LIMIT :limit;

-- count_runs_of --
-- How many tasks of some names there are. Scans counters only.
SELECT app_id, name_id, sum(tasks) FROM counter WHERE name_id IN (SELECT value FROM json_each(:names)) GROUP BY app_id, name_id;

-- list_origins --
-- Who ran some tasks, and who enqueued them. Index: the primary keys.
SELECT w.text, r.text, t.sent FROM json_each(:ids) AS j JOIN task AS t ON t.id = j.value
  LEFT JOIN name AS w ON w.id = t.worker_id LEFT JOIN boot AS b ON b.id = t.boot_id LEFT JOIN name AS r ON r.id = b.release_id;

-- count_unended --
-- Of some tasks those that wait or run. Index: the primary key.
SELECT count(*) FROM json_each(:ids) AS j JOIN task AS t ON t.id = j.value WHERE t.state IN (1, 2, 3, 4, 5);

-- group_of_task --
-- The group of a task's failure: of that which ended it, else of its last attempt. Index: the primary keys.
SELECT f.error_group FROM error_task AS t JOIN error_fingerprint AS f ON f.id = t.fingerprint
WHERE t.task = :task ORDER BY t.kind, t.at DESC LIMIT 1;

-- list_actions --
-- What was done with a group, the newest first. Index: error_action_group.
SELECT at, actor, action, detail FROM error_action WHERE error_group = :id ORDER BY id DESC LIMIT 100;

-- list_releases --
-- The releases of an app that were ever seen. Index: the unique one of boot.
SELECT DISTINCT n.text FROM boot AS b JOIN name AS n ON n.id = b.release_id WHERE b.app_id = :app_id;

-- read_backlog --
-- How far the tasks that were stored before there were groups are grouped. One row, or none.
SELECT b.task, (SELECT t.first_at FROM task AS t WHERE t.id >= b.task ORDER BY t.id LIMIT 1) FROM error_backlog AS b;
