-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Each of these steps to every (time, series) by the primary key: :times and :ids are JSON lists.
-- list_series --
-- The series under some names (-1: any), those of totals or those of single names. Index: series_total.
SELECT id, app_id, environment_id, engine_id, name_id, queue_id, release_id FROM series
WHERE is_total = :is_total AND :app_id IN (-1, app_id) AND :environment_id IN (-1, environment_id) AND :engine_id IN (-1, engine_id)
  AND :name_id IN (-1, name_id) AND :queue_id IN (-1, queue_id);

-- sum_by_time --
-- What some series add up to in each slot of :slot microseconds. Index: the primary key.
SELECT r.at / :slot * :slot, sum(enqueued), sum(started), sum(retried), sum(waited), sum(waited_us), sum(ran), sum(ran_us), sum(succeeded), sum(failed),
  sum(cancelled), sum(expired), sum(rejected), sum(lost)
FROM json_each(:times) AS t CROSS JOIN json_each(:ids) AS s
  CROSS JOIN rollup AS r ON r.step = :step AND r.at = t.value AND r.series_id = s.value
GROUP BY 1;

-- sum_by_series --
-- What each series adds up to in each slot of :slot microseconds. Index: the primary key.
SELECT r.at / :slot * :slot, r.series_id, sum(enqueued), sum(started), sum(retried), sum(waited), sum(waited_us), sum(ran), sum(ran_us), sum(succeeded), sum(failed),
  sum(cancelled), sum(expired), sum(rejected), sum(lost)
FROM json_each(:times) AS t CROSS JOIN json_each(:ids) AS s
  CROSS JOIN rollup AS r ON r.step = :step AND r.at = t.value AND r.series_id = s.value
GROUP BY 1, 2;

-- histogram_by_time --
-- Some of the buckets of some series in each slot. Index: the primary key.
SELECT b.at / :slot * :slot, b.bucket, sum(b.tasks)
FROM json_each(:times) AS t CROSS JOIN json_each(:ids) AS s
  CROSS JOIN rollup_bucket AS b ON b.step = :step AND b.at = t.value AND b.series_id = s.value
    AND b.bucket >= :first AND b.bucket < :after
GROUP BY 1, 2;

-- histogram_by_series --
-- Some of the buckets of each series in each slot. Index: the primary key.
SELECT b.at / :slot * :slot, b.series_id, b.bucket, sum(b.tasks)
FROM json_each(:times) AS t CROSS JOIN json_each(:ids) AS s
  CROSS JOIN rollup_bucket AS b ON b.step = :step AND b.at = t.value AND b.series_id = s.value
    AND b.bucket >= :first AND b.bucket < :after
GROUP BY 1, 2, 3;

-- first_rollup --
-- The first time from then on that has sums of a step. Index: the primary key.
SELECT min(at) FROM rollup WHERE step = :step AND at >= :at;

-- latest_horizon --
-- The latest time before which sums of a step were deleted, of any app. There is a row for each app and step.
SELECT max(before) FROM rollup_horizon WHERE step = :step;

-- last_minute --
-- The newest minute with a sum: nothing later has to be looked up. Index: the primary key.
SELECT max(at) FROM rollup WHERE step = 0;

-- sum_workers --
-- What each worker of an app ended in some steps. Index: the primary key.
SELECT r.worker_id, sum(r.ended), sum(r.failed), sum(r.busy_us)
FROM json_each(:times) AS t CROSS JOIN worker_rollup AS r ON r.step = :step AND r.at = t.value AND r.app_id = :app_id
GROUP BY r.worker_id;

-- worker_by_time --
-- What one worker ended in each slot of :slot microseconds. Index: the primary key.
SELECT r.at / :slot * :slot, sum(r.ended), sum(r.failed), sum(r.busy_us)
FROM json_each(:times) AS t
  CROSS JOIN worker_rollup AS r ON r.step = :step AND r.at = t.value AND r.app_id = :app_id AND r.worker_id = :worker_id
GROUP BY 1;

-- queue_by_time --
-- What brokers reported of one queue in each step. Index: the primary key.
SELECT r.at, r.broker_id, r.reports, r.depth_sum, r.depth_max, r.depth, r.oldest_us, r.delayed, r.dead
FROM json_each(:times) AS t
  CROSS JOIN queue_rollup AS r ON r.step = :step AND r.at = t.value AND r.app_id = :app_id AND r.environment_id = :environment_id
    AND r.engine_id = :engine_id AND r.queue_id = :queue_id;
