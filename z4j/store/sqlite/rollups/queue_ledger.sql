-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_to_ledger --
-- Changes the counts of a queue in one hour. Index: the primary key.
INSERT INTO queue_ledger (app_id, environment_id, engine_id, queue_id, at, sent, queued, waiting, running, ended, unmonitored)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET sent = sent + excluded.sent, queued = queued + excluded.queued, waiting = waiting + excluded.waiting,
  running = running + excluded.running, ended = ended + excluded.ended, unmonitored = unmonitored + excluded.unmonitored;

-- read_ledger --
-- The hours of one queue. Index: the primary key.
SELECT l.at, l.sent, l.queued, l.waiting, l.running, l.ended, l.unmonitored
FROM app AS a JOIN name AS q ON q.kind = 'queue' AND q.text = :queue JOIN name AS g ON g.kind = 'engine' AND g.text = :engine
  JOIN queue_ledger AS l ON l.app_id = a.id AND l.queue_id = q.id AND l.engine_id = g.id
    AND l.environment_id = coalesce((SELECT e.id FROM name AS e WHERE e.kind = 'environment' AND e.text = :environment), 0)
WHERE a.name = :app AND l.at >= :since ORDER BY l.at;

-- read_beginning --
-- Time of the first counted hour. Index: the primary key.
SELECT before FROM rollup_horizon WHERE app_id = 0 AND step = :step;

-- list_queued --
-- The oldest queued tasks of a queue from a time on, of the oldest ones of all queues. Index: task_state.
SELECT t.id, t.task_id, coalesce(n.text, ''), t.first_at
FROM (SELECT * FROM task WHERE state = 2 AND first_at >= :since ORDER BY first_at LIMIT :looked_at) AS t
  JOIN app AS a ON a.id = t.app_id JOIN name AS q ON q.id = t.queue_id JOIN name AS g ON g.id = t.engine_id
  LEFT JOIN name AS e ON e.id = t.environment_id LEFT JOIN name AS n ON n.id = t.name_id
WHERE a.name = :app AND q.text = :queue AND g.text = :engine AND coalesce(e.text, '') = :environment
ORDER BY t.first_at, t.id LIMIT :limit;

-- delete_old --
-- Some hours before then. Index: queue_ledger_at.
DELETE FROM queue_ledger WHERE (app_id, environment_id, engine_id, queue_id, at) IN (
  SELECT app_id, environment_id, engine_id, queue_id, at FROM queue_ledger WHERE at < :before ORDER BY at LIMIT :limit);
