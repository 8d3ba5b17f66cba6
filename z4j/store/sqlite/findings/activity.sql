-- SPDX-License-Identifier: AGPL-3.0-or-later
-- name_minutes --
-- What the tasks of each name did in each step of a range. Index: the primary key, from :since on.
SELECT s.app_id, s.environment_id, s.engine_id, s.name_id, r.at, sum(r.started),
  sum(r.succeeded + r.failed + r.cancelled + r.expired + r.rejected + r.lost), sum(r.failed + r.expired + r.rejected + r.lost), sum(r.retried)
FROM rollup AS r JOIN series AS s ON s.id = r.series_id
WHERE r.step = :step AND r.at >= :since AND r.at < :until AND s.is_total = 0
GROUP BY s.app_id, s.environment_id, s.engine_id, s.name_id, r.at;

-- name_runtimes --
-- The runtimes of each name in each step of a range, by bucket. Index: the primary key, from :since on.
SELECT s.app_id, s.environment_id, s.engine_id, s.name_id, b.at, b.bucket, sum(b.tasks)
FROM rollup_bucket AS b JOIN series AS s ON s.id = b.series_id
WHERE b.step = :step AND b.at >= :since AND b.at < :until AND b.bucket < 256 AND s.is_total = 0
GROUP BY s.app_id, s.environment_id, s.engine_id, s.name_id, b.at, b.bucket;

-- queue_minutes --
-- What entered and left each queue in each minute. Index: the primary key, from :since on.
SELECT s.app_id, s.environment_id, s.engine_id, s.queue_id, r.at, sum(r.enqueued), sum(r.started)
FROM rollup AS r JOIN series AS s ON s.id = r.series_id
WHERE r.step = 0 AND r.at >= :since AND r.at < :until AND s.is_total = 0 AND s.queue_id != 0
GROUP BY s.app_id, s.environment_id, s.engine_id, s.queue_id, r.at;

-- queue_names --
-- How many tasks of each name entered each queue. Index: the primary key, from :since on.
SELECT s.app_id, s.environment_id, s.engine_id, s.queue_id, s.name_id, sum(r.enqueued)
FROM rollup AS r JOIN series AS s ON s.id = r.series_id
WHERE r.step = 0 AND r.at >= :since AND r.at < :until AND s.is_total = 0 AND s.queue_id != 0
GROUP BY s.app_id, s.environment_id, s.engine_id, s.queue_id, s.name_id HAVING sum(r.enqueued) > 0;

-- queue_reports --
-- What brokers reported of each queue in each minute. Index: the primary key, from :since on.
SELECT app_id, environment_id, engine_id, queue_id, at, sum(depth), sum(dead)
FROM queue_rollup WHERE step = 0 AND at >= :since AND at < :until
GROUP BY app_id, environment_id, engine_id, queue_id, at;

-- count_queued --
-- Tasks that were enqueued and not received, by queue. Scans counters only.
SELECT app_id, environment_id, engine_id, queue_id, sum(tasks) FROM counter WHERE state = 2 AND tasks > 0 AND queue_id != 0
GROUP BY app_id, environment_id, engine_id, queue_id;
