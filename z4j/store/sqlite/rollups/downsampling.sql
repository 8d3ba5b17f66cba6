-- SPDX-License-Identifier: AGPL-3.0-or-later
-- put_rolled_until --
-- Until when minutes were added to hours and days.
INSERT INTO setting (key, value) VALUES ('rolled_until', :at) ON CONFLICT DO UPDATE SET value = excluded.value;

-- next_minute --
-- The first minute from then on that has sums, of tasks or of workers. Index: the primary keys.
SELECT min(at) FROM (
  SELECT min(at) AS at FROM rollup WHERE step = 0 AND at >= :at UNION ALL SELECT min(at) FROM worker_rollup WHERE step = 0 AND at >= :at);

-- roll_sums --
-- Adds the sums of some minutes to a longer step. Index: the primary key.
INSERT INTO rollup
SELECT :step, :start, series_id, sum(enqueued), sum(started), sum(retried), sum(waited), sum(waited_us), sum(ran), sum(ran_us), sum(succeeded),
  sum(failed), sum(cancelled), sum(expired), sum(rejected), sum(lost)
FROM rollup WHERE step = 0 AND at >= :at AND at < :until GROUP BY series_id
ON CONFLICT DO UPDATE SET enqueued = enqueued + excluded.enqueued, started = started + excluded.started,
  retried = retried + excluded.retried, waited = waited + excluded.waited, waited_us = waited_us + excluded.waited_us,
  ran = ran + excluded.ran, ran_us = ran_us + excluded.ran_us, succeeded = succeeded + excluded.succeeded,
  failed = failed + excluded.failed, cancelled = cancelled + excluded.cancelled, expired = expired + excluded.expired,
  rejected = rejected + excluded.rejected, lost = lost + excluded.lost;

-- roll_buckets --
-- Adds the buckets of some minutes to a longer step. Index: the primary key.
INSERT INTO rollup_bucket SELECT :step, :start, series_id, bucket, sum(tasks)
FROM rollup_bucket WHERE step = 0 AND at >= :at AND at < :until GROUP BY series_id, bucket
ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks;

-- roll_workers --
-- Adds what workers ended in some minutes to a longer step. Index: the primary key.
INSERT INTO worker_rollup SELECT :step, :start, app_id, worker_id, sum(ended), sum(failed), sum(busy_us)
FROM worker_rollup WHERE step = 0 AND at >= :at AND at < :until GROUP BY app_id, worker_id
ON CONFLICT DO UPDATE SET ended = ended + excluded.ended, failed = failed + excluded.failed, busy_us = busy_us + excluded.busy_us;
