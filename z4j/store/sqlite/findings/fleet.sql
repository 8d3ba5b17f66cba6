-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_processes --
-- What the rules of findings look at of every process seen since then. Index: agent_seen.
SELECT a.app_id, p.name, coalesce(e.text, ''), a.boot, a.host, a.role, coalesce(w.text, ''), a.seat, coalesce(r.text, ''), a.engines, a.pool,
  a.queues, a.began_at, a.seen_at, a.left_at, a.left_reason, a.is_orderly, a.clock_skew_us, a.spool_bytes
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
-- Why the newest tasks in a state got there since then, by name and reason; one reason alone where it is given. Index: task_state.
SELECT t.app_id, t.environment_id, t.engine_id, t.name_id, t.queue_id, t.reason, count(*), min(t.state_at), max(t.state_at)
FROM (
  SELECT * FROM task WHERE state = :state AND first_at >= :since ORDER BY first_at DESC LIMIT :limit
) AS t WHERE t.state_at >= :recent AND (:reason = '' OR t.reason = :reason)
GROUP BY t.app_id, t.environment_id, t.engine_id, t.name_id, t.queue_id, t.reason;

-- unregistered_names --
-- Queued tasks whose name is not registered in their environment, where other names of the engine are. Scans counters; index: the primary
-- key of task_name.
SELECT c.app_id, c.environment_id, c.engine_id, c.name_id, c.queue_id, c.tasks
FROM counter AS c
WHERE c.state = 2 AND c.tasks > 0 AND c.name_id != 0
  AND NOT EXISTS (SELECT 1 FROM task_name AS t WHERE t.app_id = c.app_id AND t.name_id = c.name_id AND t.engine_id = c.engine_id
    AND t.environment_id IN (0, c.environment_id))
LIMIT :limit;

-- registering --
-- Apps, environments and engines whose agents registered names. Scans the registered names; read once a minute.
SELECT DISTINCT app_id, environment_id, engine_id FROM task_name;
