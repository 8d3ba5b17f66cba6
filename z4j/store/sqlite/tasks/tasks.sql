-- SPDX-License-Identifier: AGPL-3.0-or-later
-- A walk looks at the tasks along one index, beginning beside (:at, :id), and says of each whether it matches all filters
-- (-1: any). The caller takes rows until the page is full or its time is up, see task_search.py.

-- walk_first_older --
-- Older tasks. Index: task_first.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_first
WHERE (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_first_newer --
-- Newer tasks. Index: task_first.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_first
WHERE (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_state_older --
-- Older tasks of one state. Index: task_state.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_state
WHERE t.state = :state AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_state_newer --
-- Newer tasks of one state. Index: task_state.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_state
WHERE t.state = :state AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_name_older --
-- Older tasks of one name. Index: task_named.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_named
WHERE t.name_id = :name_id AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_name_newer --
-- Newer tasks of one name. Index: task_named.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_named
WHERE t.name_id = :name_id AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_queue_older --
-- Older tasks of one queue. Index: task_queue.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_queue
WHERE t.queue_id = :queue_id AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_queue_newer --
-- Newer tasks of one queue. Index: task_queue.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_queue
WHERE t.queue_id = :queue_id AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_worker_older --
-- Older tasks of one worker. Index: task_worker.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_worker
WHERE t.worker_id = :worker_id AND t.worker_id != 0 AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_worker_newer --
-- Newer tasks of one worker. Index: task_worker.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_worker
WHERE t.worker_id = :worker_id AND t.worker_id != 0 AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_label_older --
-- Older tasks of one label. Index: task_label.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_label
WHERE t.label = :label AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_label_newer --
-- Newer tasks of one label. Index: task_label.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id)
FROM task AS t INDEXED BY task_label
WHERE t.label = :label AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- weigh --
-- How many tasks each filter alone leaves, and all of them together: which index is the narrowest. Scans counters only.
SELECT coalesce(sum(tasks) FILTER (WHERE (:states >> state) & 1), 0),
  coalesce(sum(tasks) FILTER (WHERE name_id = :name_id), 0),
  coalesce(sum(tasks) FILTER (WHERE queue_id = :queue_id), 0),
  coalesce(sum(tasks) FILTER (WHERE (:states >> state) & 1 AND :name_id IN (-1, name_id)
    AND :queue_id IN (-1, queue_id) AND :engine_id IN (-1, engine_id) AND :app_id IN (-1, app_id)
    AND :environment_id IN (-1, environment_id)), 0)
FROM counter;

-- read_tasks --
-- The rows of a page by their ids. Index: the primary key.
SELECT t.id, a.name, e.text, g.text, t.task_id, n.text, q.text, w.text, t.state_key, t.reason, t.first_at, t.last_at,
  t.enqueued_at, t.eta_attempt, t.eta_at, t.received_attempt, t.received_at, t.start_attempt, t.started_at, t.state_at,
  t.runtime_us, t.args, t.result, t.error_type, t.error, t.cancel_asked_at, r.text, t.flags, t.label, t.original_key,
  t.is_masked, t.sent, t.app_id, b.boot, t.pid, b.host
FROM json_each(:ids) AS j CROSS JOIN task AS t ON t.id = j.value
  LEFT JOIN app AS a ON a.id = t.app_id
  LEFT JOIN name AS e ON e.id = t.environment_id
  LEFT JOIN name AS g ON g.id = t.engine_id
  LEFT JOIN name AS n ON n.id = t.name_id
  LEFT JOIN name AS q ON q.id = t.queue_id
  LEFT JOIN name AS w ON w.id = t.worker_id
  LEFT JOIN boot AS b ON b.id = t.boot_id
  LEFT JOIN name AS r ON r.id = b.release_id
ORDER BY j.key;

-- find_by_task_id --
-- Every task that bears a task id, in whatever app and engine. Index: task_identity.
SELECT t.id, t.first_at, (:states >> t.state) & 1 AND :name_id IN (-1, t.name_id) AND :queue_id IN (-1, t.queue_id)
  AND :worker_id IN (-1, t.worker_id) AND :engine_id IN (-1, t.engine_id) AND :app_id IN (-1, t.app_id)
  AND :environment_id IN (-1, t.environment_id) AND (:label = '' OR t.label = :label)
FROM task AS t WHERE t.task_id = :task_id ORDER BY t.first_at DESC, t.id DESC LIMIT :chunk;

-- find_other --
-- Another task of an app and engine by its id, of one that came again its newest life. Index: task_identity.
SELECT t.id, n.text, t.state FROM task AS t LEFT JOIN name AS n ON n.id = t.name_id
WHERE t.task_id = :task_id AND t.app_id = :app_id AND t.engine_id = (SELECT id FROM name WHERE kind = 'engine' AND text = :engine)
ORDER BY t.life LIMIT 1;

-- list_targets --
-- The tasks this one points at: its parent, the task it retries. Of an id that came again the execution of that time: the newest if it had
-- begun, else the one before it in the same engine. Index: task_link_task, task_identity.
SELECT l.kind, l.target, t.id, n.text, t.state
FROM task_link AS l JOIN task AS o ON o.id = l.task LEFT JOIN task AS t ON t.id = coalesce(
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id AND p.engine_id = o.engine_id AND p.life = 0
      AND p.first_at <= o.first_at),
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id AND p.engine_id = o.engine_id AND p.life > 0
      AND p.first_at <= o.first_at ORDER BY p.life DESC LIMIT 1),
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id ORDER BY p.engine_id, p.life LIMIT 1))
  LEFT JOIN name AS n ON n.id = t.name_id
WHERE l.task = :id ORDER BY l.kind, t.id;

-- list_sources --
-- The tasks that point at this one: children, retries; not those that began in a later life of its id. Index: the primary key of task_link.
SELECT l.kind, t.task_id, t.id, n.text, t.state
FROM task_link AS l JOIN task AS t ON t.id = l.task LEFT JOIN name AS n ON n.id = t.name_id
WHERE l.app_id = :app_id AND l.kind IN ('parent', 'retry_of') AND l.target = :target
  AND (:since < 0 OR (t.first_at >= :since AND t.first_at < :until)) ORDER BY t.id LIMIT 200;

-- find_app --
-- The id of an app by its name.
SELECT id FROM app WHERE name = :name;
