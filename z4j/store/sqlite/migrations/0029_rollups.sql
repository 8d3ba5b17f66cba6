-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Sums per minute, hour and day take the place of `minute` and `minute_total`, which knew ends only. A step is 0 (minute), 1 (hour) or 2
-- (day, UTC); `at` is its beginning. The primary keys begin with the time: what is written now lies together, whatever it is about.

-- What is summed up separately. 0 in place of a name: unknown. `is_total`: the sum over all names, queues and releases.
CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  is_total INTEGER NOT NULL,
  name_id INTEGER NOT NULL,
  queue_id INTEGER NOT NULL,
  release_id INTEGER NOT NULL,
  UNIQUE (app_id, environment_id, engine_id, is_total, name_id, queue_id, release_id)
) STRICT;
CREATE INDEX series_name ON series (name_id);
CREATE INDEX series_queue ON series (queue_id);
CREATE INDEX series_total ON series (is_total);

CREATE TABLE rollup (
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,                      -- microseconds UTC
  series_id INTEGER NOT NULL,
  enqueued INTEGER NOT NULL,                -- tasks, at their enqueue
  started INTEGER NOT NULL,                 -- tasks, at their last start
  retried INTEGER NOT NULL,                 -- attempts after the first one, at the last start
  waited INTEGER NOT NULL,                  -- of the started ones, those whose wait is known
  waited_us INTEGER NOT NULL,
  ran INTEGER NOT NULL,                     -- of the ended ones, those whose runtime is known
  ran_us INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,               -- ended tasks, at their end
  failed INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  expired INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  PRIMARY KEY (step, at, series_id)
) STRICT, WITHOUT ROWID;

-- The histograms: buckets of z4j/rules/rollups.py, those of waits from 256 on.
CREATE TABLE rollup_bucket (
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  series_id INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  tasks INTEGER NOT NULL,
  PRIMARY KEY (step, at, series_id, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE worker_rollup (
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  app_id INTEGER NOT NULL,
  worker_id INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  busy_us INTEGER NOT NULL,                 -- runtimes of the ended ones
  PRIMARY KEY (step, at, app_id, worker_id)
) STRICT, WITHOUT ROWID;

-- What brokers reported of queues: the last report of each step, and the sum of all for a mean.
CREATE TABLE queue_rollup (
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  app_id INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  queue_id INTEGER NOT NULL,
  broker_id INTEGER NOT NULL,
  reports INTEGER NOT NULL,
  depth_sum INTEGER NOT NULL,
  depth_max INTEGER NOT NULL,
  depth INTEGER NOT NULL,
  oldest_us INTEGER,                        -- the largest age of the oldest task; NULL: not reported
  delayed INTEGER,
  dead INTEGER,
  PRIMARY KEY (step, at, app_id, environment_id, engine_id, queue_id, broker_id)
) STRICT, WITHOUT ROWID;

-- Before when the sums of a step were deleted, of one app or of all (0): late news never creates them a second time.
CREATE TABLE rollup_horizon (
  app_id INTEGER NOT NULL,
  step INTEGER NOT NULL,
  before INTEGER NOT NULL,
  PRIMARY KEY (app_id, step)
) STRICT, WITHOUT ROWID;

-- The release under which the tasks of a process are counted: as it was known when the first one was.
ALTER TABLE boot ADD COLUMN counted_release_id INTEGER;

CREATE TEMP TABLE old AS
  SELECT app_id, environment_id, engine_id, name_id, queue_id, minute * 60000000 AS at, state, tasks, runtime_us FROM minute WHERE tasks != 0;
INSERT INTO series (app_id, environment_id, engine_id, is_total, name_id, queue_id, release_id)
  SELECT DISTINCT app_id, environment_id, engine_id, 0, name_id, queue_id, 0 FROM old
  UNION SELECT DISTINCT app_id, environment_id, engine_id, 1, 0, 0, 0 FROM old;
INSERT INTO rollup
  SELECT w.step, o.at / w.us * w.us, s.id, 0, 0, 0, 0, 0,
    sum(o.tasks * (o.runtime_us > 0)), sum(o.runtime_us), sum(o.tasks * (o.state = 12)), sum(o.tasks * (o.state = 11)),
    sum(o.tasks * (o.state = 8)), sum(o.tasks * (o.state = 9)), sum(o.tasks * (o.state = 10)), sum(o.tasks * (o.state = 6))
  FROM (SELECT 0 AS step, 60000000 AS us UNION ALL SELECT 1, 3600000000 UNION ALL SELECT 2, 86400000000) AS w
    JOIN old AS o
    JOIN series AS s ON s.app_id = o.app_id AND s.environment_id = o.environment_id AND s.engine_id = o.engine_id
      AND ((s.is_total = 0 AND s.name_id = o.name_id AND s.queue_id = o.queue_id) OR s.is_total = 1)
  GROUP BY 1, 2, 3;
INSERT INTO setting (key, value) SELECT 'rolled_until', CAST(max(at) + 60000000 AS TEXT) FROM old HAVING count(*) > 0;
DROP TABLE old;
DROP TABLE minute;
DROP TABLE minute_total;
