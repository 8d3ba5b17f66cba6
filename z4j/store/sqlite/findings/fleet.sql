-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_processes --
-- What the rules of findings look at of every process seen since then. Index: agent_seen.
SELECT a.app_id, p.name, coalesce(e.text, ''), a.boot, a.host, a.role, coalesce(w.text, ''), a.seat, coalesce(r.text, ''), a.engines, a.pool,
  a.queues, a.options, a.began_at, a.seen_at, a.left_at, a.left_reason, a.is_orderly, a.clock_skew_us, a.spool_bytes
FROM agent AS a JOIN app AS p ON p.id = a.app_id LEFT JOIN name AS w ON w.id = a.worker_id
  LEFT JOIN name AS e ON e.id = a.environment_id LEFT JOIN name AS r ON r.id = a.release_id
WHERE a.seen_at >= :since ORDER BY a.seen_at DESC LIMIT :limit;

-- count_held --
-- Tasks that were running in some processes, given as [[app, boot], …]. Index: the unique one of boot, task_held.
SELECT b.app_id, b.boot, count(*)
FROM json_each(:boots) AS j CROSS JOIN boot AS b ON b.app_id = j.value ->> 0 AND b.boot = j.value ->> 1
  JOIN task AS t INDEXED BY task_held ON t.boot_id = b.id AND t.state IN (3, 4)
WHERE t.state = 4 GROUP BY b.id;

-- list_running --
-- Tasks that connected processes report as running for a while, by the server's clock, the oldest first. Index: agent_seen.
SELECT p.name, coalesce(e.text, ''), j.value ->> 0, j.value ->> 3, coalesce(w.text, ''), (j.value ->> 5) + a.clock_skew_us AS started_at
FROM agent AS a JOIN app AS p ON p.id = a.app_id LEFT JOIN name AS w ON w.id = a.worker_id LEFT JOIN name AS e ON e.id = a.environment_id
  JOIN json_each(a.running) AS j
WHERE a.seen_at >= :since AND a.left_at IS NULL AND a.running != '[]' AND j.value ->> 5 > 0 AND (j.value ->> 5) + a.clock_skew_us < :before
ORDER BY started_at LIMIT :limit;

-- recent_ends --
-- Why the newest tasks in a state got there since then, by name and reason; one reason alone where it is given. Then what shows that the
-- cause is over: of the newest tasks of the name those that succeeded since, whether one of the processes is still connected, and when the
-- name was registered last. Index: task_state; task_named, the primary keys, boot, agent.
SELECT g.app_id, g.environment_id, g.engine_id, g.name_id, g.queue_id, g.reason, g.tasks, g.first_at, g.last_at,
  (SELECT count(*) FROM (SELECT * FROM task WHERE name_id = g.name_id AND first_at >= :since ORDER BY first_at DESC LIMIT :newest) AS n
    WHERE n.state = 12 AND n.app_id = g.app_id AND n.engine_id = g.engine_id AND n.state_at > g.last_at),
  EXISTS (SELECT 1 FROM json_each(g.boots) AS j JOIN boot AS b ON b.id = j.value
    JOIN agent AS a ON a.app_id = b.app_id AND a.boot = b.boot WHERE a.left_at IS NULL),
  (SELECT max(r.seen_at) FROM task_name AS r WHERE r.app_id = g.app_id AND r.name_id = g.name_id AND r.engine_id = g.engine_id
    AND r.environment_id IN (0, g.environment_id))
FROM (
  SELECT t.app_id, t.environment_id, t.engine_id, t.name_id, t.queue_id, t.reason, count(*) AS tasks, min(t.state_at) AS first_at,
    max(t.state_at) AS last_at, json_group_array(DISTINCT t.boot_id) AS boots
  FROM (
    SELECT * FROM task WHERE state = :state AND first_at >= :since ORDER BY first_at DESC LIMIT :limit
  ) AS t WHERE t.state_at >= :recent AND (:reason = '' OR t.reason = :reason)
  GROUP BY t.app_id, t.environment_id, t.engine_id, t.name_id, t.queue_id, t.reason
) AS g;

-- unregistered_names --
-- Queued tasks whose name is not registered in their environment, where other names of the engine are. Scans counters; index: the primary
-- key of task_name, task_name_scope.
SELECT c.app_id, c.environment_id, c.engine_id, c.name_id, c.queue_id, c.tasks
FROM counter AS c
WHERE c.state = 2 AND c.tasks > 0 AND c.name_id != 0
  AND NOT EXISTS (SELECT 1 FROM task_name AS t WHERE t.app_id = c.app_id AND t.name_id = c.name_id AND t.engine_id = c.engine_id
    AND t.environment_id IN (0, c.environment_id))
  AND EXISTS (SELECT 1 FROM task_name AS t WHERE t.app_id = c.app_id AND t.engine_id = c.engine_id AND t.environment_id = c.environment_id)
LIMIT :limit;
