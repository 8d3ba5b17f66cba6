-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What happened inside tasks: their log lines, and what each run used.

-- A run that wrote log lines. `started_at` (microseconds UTC) tells the runs of an id that is used repeatedly apart; 0: not reported.
CREATE TABLE log_run (
  id INTEGER PRIMARY KEY,
  task_id BLOB NOT NULL,                    -- as in `task`
  app_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  boot_id INTEGER NOT NULL,
  pid INTEGER NOT NULL,
  lines INTEGER NOT NULL,                   -- stored lines, and about how many bytes they take
  bytes INTEGER NOT NULL,
  dropped INTEGER NOT NULL,                 -- lines beyond the limits of the agent
  last_at INTEGER NOT NULL,
  noted INTEGER NOT NULL                    -- lines there were when the task was last noted for the index of words
) STRICT;
CREATE UNIQUE INDEX log_run_identity ON log_run (task_id, app_id, engine_id, attempt, started_at, boot_id, pid);
CREATE INDEX log_run_last ON log_run (last_at);
CREATE INDEX log_run_app ON log_run (app_id, last_at);
CREATE INDEX log_run_boot ON log_run (boot_id);
CREATE INDEX log_run_engine ON log_run (engine_id);

CREATE TABLE log_line (
  run INTEGER NOT NULL,                     -- log_run.id
  seq INTEGER NOT NULL,                     -- its number in the run, from 0 on; numbers of dropped lines are missing
  at INTEGER NOT NULL,
  level INTEGER NOT NULL,                   -- of the module `logging`
  logger TEXT NOT NULL,
  message TEXT NOT NULL,
  dropped INTEGER NOT NULL,                 -- how many lines of the run had been dropped by then
  PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- What the log lines of each app take, kept with them.
CREATE TABLE log_usage (
  app_id INTEGER PRIMARY KEY,
  lines INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;

-- What a run used: JSON [microseconds of CPU, whose (0 the process, 1 the thread), highest memory in KiB, its rise during the run in KiB,
-- whether the process executed this run only]; NULL where it was not measured.
ALTER TABLE task ADD COLUMN usage TEXT;
ALTER TABLE run ADD COLUMN usage TEXT;
