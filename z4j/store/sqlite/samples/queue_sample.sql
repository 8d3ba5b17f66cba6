-- SPDX-License-Identifier: AGPL-3.0-or-later
-- newest_of_queue --
-- Tasks that entered a queue before a time, the newest first, of those an app, environment and engine has. Index: task_queue, then the
-- primary key.
SELECT t.id, t.task_id, t.sent
FROM (SELECT id FROM task INDEXED BY task_queue WHERE queue_id = :queue_id AND first_at < :before AND first_at >= :since
    ORDER BY first_at DESC LIMIT :read) AS s
  CROSS JOIN task AS t ON t.id = s.id
WHERE t.app_id = :app_id AND t.environment_id = :environment_id AND t.engine_id = :engine_id LIMIT :limit;

-- parents_of --
-- The names of the tasks that sent some tasks. Index: task_link_task, task_identity.
SELECT j.value, n.text
FROM json_each(:ids) AS j CROSS JOIN task_link AS l ON l.task = j.value AND l.kind = 'parent'
  JOIN task AS p ON p.task_id = l.target AND p.app_id = l.app_id JOIN name AS n ON n.id = p.name_id;

-- schedules_of --
-- The schedules that made some tasks. Index: fire_task.
SELECT f.task_id, s.id, s.name
FROM json_each(:task_ids) AS j CROSS JOIN fire AS f ON f.task_id = j.value AND f.task_id != ''
  JOIN schedule AS s ON s.id = f.schedule_id AND s.app_id = :app_id;

-- queues_filled --
-- The series that count what enters a queue: an enqueue has no release. Index: series_queue.
SELECT id, name_id FROM series
WHERE queue_id = :queue_id AND is_total = 0 AND release_id = 0 AND app_id = :app_id AND environment_id = :environment_id
  AND engine_id = :engine_id ORDER BY id DESC LIMIT :limit;
