-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What people look at: failures that are one problem. Usually one fingerprint, several after a merge. The counts are sums over
-- fingerprints; what a person decided stays with the group.
CREATE TABLE error_group (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  title TEXT NOT NULL,
  error_type TEXT NOT NULL,
  message TEXT NOT NULL,                    -- normalised
  function TEXT NOT NULL,                   -- in which it is raised
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  stored INTEGER NOT NULL DEFAULT 0,        -- rows of error_task
  failed INTEGER NOT NULL DEFAULT 0,        -- tasks that ended so; this and the next two count deleted tasks too
  retried INTEGER NOT NULL DEFAULT 0,       -- attempts that ended so while their task went on or failed
  cured INTEGER NOT NULL DEFAULT 0,         -- attempts that ended so and whose task succeeded
  state INTEGER NOT NULL DEFAULT 0,         -- rules/errors/group_states.py
  state_at INTEGER NOT NULL DEFAULT 0,
  state_by TEXT NOT NULL DEFAULT '',
  releases TEXT,                            -- JSON: releases seen when it was resolved, of which none makes it regressed; null: any does
  ignore_until INTEGER,
  ignore_rate INTEGER,                      -- failed tasks in an hour that end the ignoring
  ignore_total INTEGER,                     -- failed tasks in all that end the ignoring
  assigned_to TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT '',
  runbook TEXT NOT NULL DEFAULT '',
  merged_into INTEGER                       -- the group that shows its fingerprints; this one is kept so that the merge can be undone
) STRICT;
CREATE INDEX error_group_last ON error_group (last_at);
CREATE INDEX error_group_app ON error_group (app_id);
CREATE INDEX error_group_merged ON error_group (merged_into) WHERE merged_into IS NOT NULL;

CREATE TABLE error_fingerprint (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  key BLOB NOT NULL,                        -- rules/errors/fingerprints.py; empty: those beyond the limit of the app
  error_group INTEGER NOT NULL,
  home INTEGER NOT NULL,                    -- the group it was made with, to which a split returns it
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  stored INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  retried INTEGER NOT NULL DEFAULT 0,
  cured INTEGER NOT NULL DEFAULT 0,
  UNIQUE (app_id, key)
) STRICT;
CREATE INDEX error_fingerprint_group ON error_fingerprint (error_group);

-- What each stored task adds to the counts: computed again from its rows when they change, and the difference is added.
CREATE TABLE error_task (
  task INTEGER NOT NULL,
  fingerprint INTEGER NOT NULL,
  kind INTEGER NOT NULL,                    -- 0 the task failed, 1 a failed attempt, 2 a failed attempt that a retry cured
  at INTEGER NOT NULL,
  place INTEGER NOT NULL,
  PRIMARY KEY (task, fingerprint, kind, at, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX error_task_newest ON error_task (fingerprint, kind, at);

-- Where stored failures happened.
CREATE TABLE error_place (
  id INTEGER PRIMARY KEY,
  fingerprint INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  queue_id INTEGER NOT NULL,
  name_id INTEGER NOT NULL,
  failed INTEGER NOT NULL DEFAULT 0,
  retried INTEGER NOT NULL DEFAULT 0,
  cured INTEGER NOT NULL DEFAULT 0,
  UNIQUE (fingerprint, environment_id, engine_id, queue_id, name_id)
) STRICT;

CREATE TABLE error_hour (
  fingerprint INTEGER NOT NULL,
  hour INTEGER NOT NULL,                    -- microseconds UTC divided by 3,600,000,000
  failed INTEGER NOT NULL,
  retried INTEGER NOT NULL,
  cured INTEGER NOT NULL,
  PRIMARY KEY (fingerprint, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX error_hour_hour ON error_hour (hour);

-- What people and the server did with a group.
CREATE TABLE error_action (
  id INTEGER PRIMARY KEY,
  error_group INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX error_action_group ON error_action (error_group, id);

-- Failures of tasks that are stored already are grouped by a duty, the newest first: the row id it has got to. Empty when it has done all.
CREATE TABLE error_backlog (
  id INTEGER PRIMARY KEY,                   -- 1
  task INTEGER NOT NULL
) STRICT;
INSERT INTO error_backlog (id, task) SELECT 1, max(id) + 1 FROM task HAVING max(id) IS NOT NULL;
