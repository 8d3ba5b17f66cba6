-- SPDX-License-Identifier: AGPL-3.0-or-later
-- put_queue --
-- A queue as its broker sees it now.
INSERT INTO queue (app_id, environment_id, engine_id, queue_id, broker_id, depth, consumers, oldest_at, delayed, dead, seen_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET depth = excluded.depth, consumers = excluded.consumers, oldest_at = excluded.oldest_at,
  delayed = excluded.delayed, dead = excluded.dead, seen_at = excluded.seen_at;

-- list_queues --
-- Some queues that a broker reported or a task named, after a place in their order, a row for each broker, with what the counters know of
-- their names. Index: the primary keys; no task is counted, and the counters of no other queue are added up.
WITH
known AS (
  SELECT DISTINCT app_id, environment_id, engine_id, queue_id FROM queue WHERE :app_id IN (-1, app_id)
  UNION ALL SELECT * FROM (
    SELECT DISTINCT app_id, environment_id, engine_id, queue_id FROM counter WHERE queue_id != 0 AND :app_id IN (-1, app_id)
  ) AS c WHERE NOT EXISTS (SELECT 1 FROM queue AS q WHERE q.app_id = c.app_id AND q.environment_id = c.environment_id
    AND q.engine_id = c.engine_id AND q.queue_id = c.queue_id)
),
page AS (
  SELECT k.app_id, k.environment_id, k.engine_id, k.queue_id, a.name AS app, coalesce(e.text, '') AS environment,
    coalesce(g.text, '') AS engine, n.text AS name
  FROM known AS k JOIN app AS a ON a.id = k.app_id JOIN name AS n ON n.id = k.queue_id
    LEFT JOIN name AS e ON e.id = k.environment_id LEFT JOIN name AS g ON g.id = k.engine_id
  WHERE (a.name, coalesce(e.text, ''), coalesce(g.text, ''), n.text) > (:after_app, :after_environment, :after_engine, :after_name)
    AND :environment IN ('', e.text) AND :engine IN ('', g.text) AND (:name IS NULL OR :name = n.text)
  ORDER BY a.name, coalesce(e.text, ''), coalesce(g.text, ''), n.text LIMIT :limit
)
SELECT p.app_id, p.app, p.environment, p.engine, p.name, coalesce(b.text, ''), q.depth, q.consumers, q.oldest_at, q.delayed, q.dead, q.seen_at,
  sum(c.tasks) FILTER (WHERE c.state = 1), sum(c.tasks) FILTER (WHERE c.state IN (2, 3)), sum(c.tasks) FILTER (WHERE c.state = 4),
  sum(c.tasks) FILTER (WHERE c.state = 5), sum(c.tasks) FILTER (WHERE c.state = 11)
FROM page AS p
  LEFT JOIN queue AS q ON q.app_id = p.app_id AND q.environment_id = p.environment_id
    AND q.engine_id = p.engine_id AND q.queue_id = p.queue_id
  LEFT JOIN name AS b ON b.id = q.broker_id
  LEFT JOIN counter AS c ON c.app_id = p.app_id AND c.environment_id = p.environment_id
    AND c.engine_id = p.engine_id AND c.queue_id = p.queue_id
GROUP BY p.app_id, p.environment_id, p.engine_id, p.queue_id, q.broker_id ORDER BY p.app, p.environment, p.engine, p.name, b.text;

-- find_app --
-- An app by its name. Index: the unique one.
SELECT id FROM app WHERE name = :app;
