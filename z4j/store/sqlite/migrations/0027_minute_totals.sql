-- SPDX-License-Identifier: AGPL-3.0-or-later
-- `minute` summed over queues, task names and states, kept in the same transaction: the numbers that stand on every page read a row per
-- minute here instead of one per combination there.
CREATE TABLE minute_total (
  minute INTEGER NOT NULL,                  -- microseconds UTC divided by 60,000,000
  app_id INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  tasks INTEGER NOT NULL,                   -- that ended
  failed INTEGER NOT NULL,                  -- of these
  PRIMARY KEY (minute, app_id, environment_id, engine_id)
) STRICT, WITHOUT ROWID;
INSERT INTO minute_total
SELECT minute, app_id, environment_id, engine_id, sum(tasks), coalesce(sum(tasks) FILTER (WHERE state = 11), 0)
FROM minute GROUP BY minute, app_id, environment_id, engine_id;
