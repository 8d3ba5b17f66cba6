-- SPDX-License-Identifier: AGPL-3.0-or-later
-- move_horizon --
-- From now on the sums of a step before then do not exist, of one app or of all (0).
INSERT INTO rollup_horizon (app_id, step, before) VALUES (:app_id, :step, :before)
ON CONFLICT DO UPDATE SET before = max(before, excluded.before);

-- delete_rollups --
-- Some sums of a step before then. Index: the primary key.
DELETE FROM rollup WHERE (step, at, series_id) IN (
  SELECT step, at, series_id FROM rollup WHERE step = :step AND at < :before ORDER BY at LIMIT :limit);

-- delete_buckets --
-- Some buckets of a step before then. Index: the primary key.
DELETE FROM rollup_bucket WHERE (step, at, series_id, bucket) IN (
  SELECT step, at, series_id, bucket FROM rollup_bucket WHERE step = :step AND at < :before ORDER BY at LIMIT :limit);

-- delete_worker_rollups --
-- Some sums of workers of a step before then. Index: the primary key.
DELETE FROM worker_rollup WHERE (step, at, app_id, worker_id) IN (
  SELECT step, at, app_id, worker_id FROM worker_rollup WHERE step = :step AND at < :before ORDER BY at LIMIT :limit);

-- delete_queue_rollups --
-- Some reports of queues of a step before then. Index: the primary key.
DELETE FROM queue_rollup WHERE (step, at, app_id, environment_id, engine_id, queue_id, broker_id) IN (
  SELECT step, at, app_id, environment_id, engine_id, queue_id, broker_id FROM queue_rollup WHERE step = :step AND at < :before
  ORDER BY at LIMIT :limit);

-- delete_rollups_of --
-- Some sums of one step and one app. Index: the primary key, and the unique one of series.
DELETE FROM rollup WHERE (step, at, series_id) IN (
  SELECT r.step, r.at, r.series_id FROM series AS s CROSS JOIN rollup AS r ON r.step = :step AND r.at = :at AND r.series_id = s.id
  WHERE s.app_id = :app_id LIMIT :limit);

-- delete_buckets_of --
-- Some buckets of one step and one app. Index: the primary key, and the unique one of series.
DELETE FROM rollup_bucket WHERE (step, at, series_id, bucket) IN (
  SELECT b.step, b.at, b.series_id, b.bucket FROM series AS s
    CROSS JOIN rollup_bucket AS b ON b.step = :step AND b.at = :at AND b.series_id = s.id
  WHERE s.app_id = :app_id LIMIT :limit);

-- list_unused_series --
-- Series without sums. Reads the keys of all sums, without holding the writer.
SELECT id FROM series WHERE id NOT IN (SELECT DISTINCT series_id FROM rollup);

-- delete_series --
-- One of them.
DELETE FROM series WHERE id = ?;

-- delete_worker_rollups_of --
-- Some sums of workers of one step and one app. Index: the primary key.
DELETE FROM worker_rollup WHERE (step, at, app_id, worker_id) IN (
  SELECT step, at, app_id, worker_id FROM worker_rollup WHERE step = :step AND at = :at AND app_id = :app_id LIMIT :limit);

-- delete_queue_rollups_of --
-- Some reports of queues of one step and one app. Index: the primary key.
DELETE FROM queue_rollup WHERE (step, at, app_id, environment_id, engine_id, queue_id, broker_id) IN (
  SELECT step, at, app_id, environment_id, engine_id, queue_id, broker_id FROM queue_rollup
  WHERE step = :step AND at = :at AND app_id = :app_id LIMIT :limit);
