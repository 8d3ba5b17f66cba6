-- SPDX-License-Identifier: AGPL-3.0-or-later
-- put_queue --
-- A queue as its broker sees it now.
INSERT INTO queue (app_id, environment_id, engine_id, queue_id, depth, consumers, oldest_at, delayed, dead, seen_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET depth = excluded.depth, consumers = excluded.consumers, oldest_at = excluded.oldest_at,
  delayed = excluded.delayed, dead = excluded.dead, seen_at = excluded.seen_at;

-- list_queues --
-- Every queue that a broker told about or a task named, with what the counters know of it. Scans counters only.
WITH
counted AS (
  SELECT app_id, environment_id, engine_id, queue_id,
    sum(tasks) FILTER (WHERE state = 1) AS scheduled, sum(tasks) FILTER (WHERE state IN (2, 3)) AS waiting,
    sum(tasks) FILTER (WHERE state = 4) AS running, sum(tasks) FILTER (WHERE state = 5) AS retrying,
    sum(tasks) FILTER (WHERE state = 11) AS failed
  FROM counter WHERE queue_id != 0 GROUP BY app_id, environment_id, engine_id, queue_id
),
known AS (
  SELECT app_id, environment_id, engine_id, queue_id FROM queue
  UNION SELECT app_id, environment_id, engine_id, queue_id FROM counted
)
SELECT a.name, e.text, g.text, n.text, q.depth, q.consumers, q.oldest_at, q.delayed, q.dead, q.seen_at, c.scheduled, c.waiting, c.running,
  c.retrying, c.failed
FROM known AS k JOIN app AS a ON a.id = k.app_id JOIN name AS n ON n.id = k.queue_id
  LEFT JOIN name AS e ON e.id = k.environment_id LEFT JOIN name AS g ON g.id = k.engine_id
  LEFT JOIN queue AS q ON q.app_id = k.app_id AND q.environment_id = k.environment_id
    AND q.engine_id = k.engine_id AND q.queue_id = k.queue_id
  LEFT JOIN counted AS c ON c.app_id = k.app_id AND c.environment_id = k.environment_id
    AND c.engine_id = k.engine_id AND c.queue_id = k.queue_id
ORDER BY a.name, e.text, g.text, n.text;
