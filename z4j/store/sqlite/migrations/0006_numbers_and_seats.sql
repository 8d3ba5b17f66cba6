-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The id of a schedule is the address of its page: never another's after it. What the columns are stands in 0005.
CREATE TABLE numbered (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  environment TEXT NOT NULL,
  scheduler TEXT NOT NULL,
  key TEXT NOT NULL,
  engine TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  expression TEXT NOT NULL,
  timezone TEXT NOT NULL,
  task_name TEXT NOT NULL,
  args TEXT NOT NULL DEFAULT '[]',
  kwargs TEXT NOT NULL DEFAULT '{}',
  queue TEXT NOT NULL DEFAULT '',
  priority INTEGER,
  is_enabled INTEGER NOT NULL DEFAULT 1,
  is_code INTEGER NOT NULL DEFAULT 0,
  unable TEXT NOT NULL DEFAULT '{}',
  note TEXT NOT NULL DEFAULT '',
  catch_up TEXT NOT NULL DEFAULT 'skip',
  overlap TEXT NOT NULL DEFAULT 'allow',
  jitter_us INTEGER NOT NULL DEFAULT 0,
  starts_at INTEGER,
  ends_at INTEGER,
  anchor INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER,
  wake_at INTEGER,
  last_at INTEGER,
  seen_by TEXT NOT NULL DEFAULT '',
  seen_at INTEGER NOT NULL,
  gone_at INTEGER,
  UNIQUE (app_id, environment, scheduler, key)
) STRICT;
INSERT INTO numbered SELECT * FROM schedule;
DROP TABLE schedule;
ALTER TABLE numbered RENAME TO schedule;
CREATE INDEX schedule_next ON schedule (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX schedule_wake ON schedule (wake_at) WHERE wake_at IS NOT NULL;

-- What is the same of a worker that was started again, where its name is not.
ALTER TABLE agent ADD COLUMN seat TEXT NOT NULL DEFAULT '';
-- When a process first said hello; connected_at is when it last did.
ALTER TABLE agent ADD COLUMN began_at INTEGER NOT NULL DEFAULT 0;
UPDATE agent SET began_at = connected_at;
