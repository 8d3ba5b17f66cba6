-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Schedules of every scheduler, z4j's own among them (scheduler 'z4j'), which alone is made here and nowhere else.
CREATE TABLE schedule (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  environment TEXT NOT NULL,
  scheduler TEXT NOT NULL,
  key TEXT NOT NULL,                        -- what its scheduler calls it
  engine TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,                       -- cron | interval | once | other
  expression TEXT NOT NULL,
  timezone TEXT NOT NULL,
  task_name TEXT NOT NULL,
  args TEXT NOT NULL DEFAULT '[]',          -- JSON; of other schedulers redacted by their agents
  kwargs TEXT NOT NULL DEFAULT '{}',
  queue TEXT NOT NULL DEFAULT '',
  priority INTEGER,
  is_enabled INTEGER NOT NULL DEFAULT 1,
  is_code INTEGER NOT NULL DEFAULT 0,
  unable TEXT NOT NULL DEFAULT '{}',        -- JSON {what cannot be done: why}
  note TEXT NOT NULL DEFAULT '',
  catch_up TEXT NOT NULL DEFAULT 'skip',    -- own: skip | once | all
  overlap TEXT NOT NULL DEFAULT 'allow',    -- own: allow | skip
  jitter_us INTEGER NOT NULL DEFAULT 0,     -- own
  starts_at INTEGER,                        -- own
  ends_at INTEGER,                          -- own
  anchor INTEGER NOT NULL DEFAULT 0,        -- intervals count from here
  next_at INTEGER,                          -- due next; null: never again, or nobody knows
  wake_at INTEGER,                          -- own: next_at and its jitter; null while it is off
  last_at INTEGER,
  seen_by TEXT NOT NULL DEFAULT '',         -- boot of the process that listed it last
  seen_at INTEGER NOT NULL,
  gone_at INTEGER,                          -- it is listed no more
  UNIQUE (app_id, environment, scheduler, key)
) STRICT;
CREATE INDEX schedule_next ON schedule (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX schedule_wake ON schedule (wake_at) WHERE wake_at IS NOT NULL;

-- Processes that told about a scheduler; whether one is still there stands in `agent`.
CREATE TABLE scheduler (
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  scheduler TEXT NOT NULL,
  boot TEXT NOT NULL,
  environment TEXT NOT NULL,
  engine TEXT NOT NULL,
  store TEXT NOT NULL,
  is_firing INTEGER NOT NULL,               -- it makes the tasks itself
  tick_us INTEGER NOT NULL,
  timezone TEXT NOT NULL,
  can_create INTEGER NOT NULL,
  applied TEXT NOT NULL,                    -- digest of the overrides it has applied
  failed TEXT NOT NULL,                     -- JSON {key: why an override could not be}
  notes TEXT NOT NULL,                      -- JSON [sentence]
  is_cut INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (app_id, scheduler, boot)
) STRICT, WITHOUT ROWID;

-- What was due and what came of it. Unique by its due time, so that nothing fires twice; a second process that fires the same is a
-- row of its own, and a double.
CREATE TABLE fire (
  id INTEGER PRIMARY KEY,
  schedule_id INTEGER NOT NULL REFERENCES schedule (id) ON DELETE CASCADE,
  due_at INTEGER NOT NULL,
  boot TEXT NOT NULL DEFAULT '',            -- of the scheduler's process; '' of z4j's own, and of what nobody fired
  fired_at INTEGER,
  outcome TEXT NOT NULL,                    -- rules/fires.py: OUTCOMES
  is_late INTEGER NOT NULL DEFAULT 0,
  is_double INTEGER NOT NULL DEFAULT 0,
  task_id TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '',
  spool TEXT,                               -- own: once handed over, only this spool folder may see it again
  expires_at INTEGER,                       -- own: how long it may wait for an agent
  UNIQUE (schedule_id, due_at, boot)
) STRICT;
CREATE INDEX fire_open ON fire (due_at) WHERE outcome IN ('waiting', 'handed');

-- Changes to schedules that are written in an application's code.
CREATE TABLE override (
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  environment TEXT NOT NULL,
  scheduler TEXT NOT NULL,
  key TEXT NOT NULL,
  is_new INTEGER NOT NULL,
  is_deleted INTEGER NOT NULL,
  is_enabled INTEGER NOT NULL,
  spec TEXT,                                -- JSON, see z4j_agent.schedules.ScheduleSpec; null: only switched off
  at INTEGER NOT NULL,
  by TEXT NOT NULL,
  PRIMARY KEY (app_id, environment, scheduler, key)
) STRICT, WITHOUT ROWID;

-- Who changed which schedule, and why.
CREATE TABLE schedule_edit (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  environment TEXT NOT NULL,
  scheduler TEXT NOT NULL,
  key TEXT NOT NULL,
  at INTEGER NOT NULL,
  by TEXT NOT NULL,
  action TEXT NOT NULL,                     -- created | edited | deleted | enabled | disabled | reverted | fired | imported
  reason TEXT NOT NULL,
  changes TEXT NOT NULL                     -- JSON {field: [before, after]}
) STRICT;
CREATE INDEX schedule_edit_of ON schedule_edit (app_id, environment, scheduler, key, at);
CREATE INDEX fire_task ON fire (task_id) WHERE task_id != '';
CREATE INDEX fire_due ON fire (due_at);
