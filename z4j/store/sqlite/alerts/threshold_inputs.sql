-- SPDX-License-Identifier: AGPL-3.0-or-later
-- name_minutes --
-- Counts of each name in each minute of a range. Index: the primary key, from :since on.
SELECT s.app_id, s.environment_id, s.engine_id, s.name_id, r.at, sum(r.enqueued), sum(r.started),
  sum(r.succeeded + r.failed + r.cancelled + r.expired + r.rejected + r.lost), sum(r.failed + r.expired + r.rejected + r.lost)
FROM rollup AS r JOIN series AS s ON s.id = r.series_id
WHERE r.step = 0 AND r.at >= :since AND r.at < :until AND s.is_total = 0
GROUP BY s.app_id, s.environment_id, s.engine_id, s.name_id, r.at;

-- queue_minutes --
-- The same of each queue. Index: the primary key, from :since on.
SELECT s.app_id, s.environment_id, s.engine_id, s.queue_id, r.at, sum(r.enqueued), sum(r.started),
  sum(r.succeeded + r.failed + r.cancelled + r.expired + r.rejected + r.lost), sum(r.failed + r.expired + r.rejected + r.lost)
FROM rollup AS r JOIN series AS s ON s.id = r.series_id
WHERE r.step = 0 AND r.at >= :since AND r.at < :until AND s.is_total = 0 AND s.queue_id != 0
GROUP BY s.app_id, s.environment_id, s.engine_id, s.queue_id, r.at;

-- name_buckets --
-- The runtimes of each name in each minute of a range, by bucket. Index: the primary key, from :since on.
SELECT s.app_id, s.environment_id, s.engine_id, s.name_id, b.at, b.bucket, sum(b.tasks)
FROM rollup_bucket AS b JOIN series AS s ON s.id = b.series_id
WHERE b.step = 0 AND b.at >= :since AND b.at < :until AND b.bucket < 256 AND s.is_total = 0
GROUP BY s.app_id, s.environment_id, s.engine_id, s.name_id, b.at, b.bucket;

-- queue_buckets --
-- The waits in each queue in each minute of a range, by bucket. Index: the primary key, from :since on.
SELECT s.app_id, s.environment_id, s.engine_id, s.queue_id, b.at, b.bucket - 256, sum(b.tasks)
FROM rollup_bucket AS b JOIN series AS s ON s.id = b.series_id
WHERE b.step = 0 AND b.at >= :since AND b.at < :until AND b.bucket >= 256 AND s.is_total = 0 AND s.queue_id != 0
GROUP BY s.app_id, s.environment_id, s.engine_id, s.queue_id, b.at, b.bucket;

-- queue_reports --
-- What brokers reported of each queue in each minute. Index: the primary key, from :since on.
SELECT app_id, environment_id, engine_id, queue_id, at, sum(depth), max(oldest_us), sum(dead)
FROM queue_rollup WHERE step = 0 AND at >= :since AND at < :until
GROUP BY app_id, environment_id, engine_id, queue_id, at;

-- list_past --
-- Findings of a range, oldest first. Index: finding_began, finding_ended, finding_open.
SELECT key, kind, app, environment, engine, subject, level, title, text, began_at, found_at, ended_at FROM finding
WHERE id IN (SELECT id FROM finding WHERE ended_at >= :since UNION ALL SELECT id FROM finding WHERE ended_at IS NULL)
ORDER BY found_at, id LIMIT :limit;
