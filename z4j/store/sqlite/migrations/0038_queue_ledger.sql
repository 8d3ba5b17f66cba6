-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The ledger of each queue: the tasks that were first seen in an hour, by what they do now. `sent` were reported by their producer, and each
-- of them is one of `queued` to `ended`; `unmonitored` ran without such a report.
CREATE TABLE queue_ledger (
  app_id INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  queue_id INTEGER NOT NULL,
  at INTEGER NOT NULL,                      -- the beginning of the hour, microseconds UTC
  sent INTEGER NOT NULL,
  queued INTEGER NOT NULL,
  waiting INTEGER NOT NULL,                 -- scheduled, received, or waiting to be retried
  running INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  unmonitored INTEGER NOT NULL,
  PRIMARY KEY (app_id, environment_id, engine_id, queue_id, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_ledger_at ON queue_ledger (at);

-- It begins with the first whole hour: tasks of earlier ones were not counted (step 3 of the horizons, see z4j/store/rollups/ledger.py).
INSERT INTO rollup_horizon (app_id, step, before)
  SELECT 0, 3, (max(first_at) / 3600000000 + 1) * 3600000000 FROM task HAVING max(first_at) IS NOT NULL;

-- What should be the same of all workers of a queue, as its agent reports it: prefetch, serializer, …; JSON, {} of an older agent.
ALTER TABLE agent ADD COLUMN options TEXT NOT NULL DEFAULT '{}';

-- Whether any name is registered in an environment.
CREATE INDEX task_name_scope ON task_name (app_id, environment_id, engine_id);
