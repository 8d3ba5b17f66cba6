-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_series --
-- What is summed up under these names. Index: the unique one.
SELECT id FROM series WHERE (app_id, environment_id, engine_id, is_total, name_id, queue_id, release_id) = (?, ?, ?, ?, ?, ?, ?);

-- count_series --
-- How many series an app has. Index: the unique one.
SELECT count(*) FROM series WHERE app_id = ?;

-- add_series --
-- One that is new.
INSERT INTO series (app_id, environment_id, engine_id, is_total, name_id, queue_id, release_id) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id;

-- read_horizons --
-- Before when sums were deleted.
SELECT app_id, step, before FROM rollup_horizon;

-- read_rolled --
-- Until when minutes were added to hours and days.
SELECT CAST(value AS INTEGER) FROM setting WHERE key = 'rolled_until';

-- read_counted_release --
-- The release under which the tasks of a process are counted. Index: the primary key.
SELECT counted_release_id, release_id FROM boot WHERE id = ?;

-- put_counted_release --
-- The same, fixed when its first task is counted.
UPDATE boot SET counted_release_id = ? WHERE id = ?;

-- add_to_rollup --
-- More or less of a series in one step. Index: the primary key.
INSERT INTO rollup (step, at, series_id, enqueued, started, retried, waited, waited_us, ran, ran_us, succeeded, failed, cancelled, expired,
  rejected, lost)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET enqueued = enqueued + excluded.enqueued, started = started + excluded.started,
  retried = retried + excluded.retried, waited = waited + excluded.waited, waited_us = waited_us + excluded.waited_us,
  ran = ran + excluded.ran, ran_us = ran_us + excluded.ran_us, succeeded = succeeded + excluded.succeeded,
  failed = failed + excluded.failed, cancelled = cancelled + excluded.cancelled, expired = expired + excluded.expired,
  rejected = rejected + excluded.rejected, lost = lost + excluded.lost;

-- add_to_bucket --
-- The same of one bucket of its histograms. Index: the primary key.
INSERT INTO rollup_bucket (step, at, series_id, bucket, tasks) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks;

-- add_to_worker --
-- The same of a worker. Index: the primary key.
INSERT INTO worker_rollup (step, at, app_id, worker_id, ended, failed, busy_us) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET ended = ended + excluded.ended, failed = failed + excluded.failed, busy_us = busy_us + excluded.busy_us;

-- add_queue_report --
-- What a broker reports of a queue. Index: the primary key.
INSERT INTO queue_rollup (step, at, app_id, environment_id, engine_id, queue_id, broker_id, reports, depth_sum, depth_max, depth, oldest_us,
  delayed, dead)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?8, ?8, ?9, ?10, ?11)
ON CONFLICT DO UPDATE SET reports = reports + 1, depth_sum = depth_sum + excluded.depth, depth_max = max(depth_max, excluded.depth),
  depth = excluded.depth, oldest_us = max(coalesce(oldest_us, excluded.oldest_us), coalesce(excluded.oldest_us, oldest_us)),
  delayed = coalesce(excluded.delayed, delayed), dead = coalesce(excluded.dead, dead);
