-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Times are integer microseconds UTC. Strings that repeat stand in `name` and are referred to by id.

-- What repeats: task names, queues, worker names, environments, releases, engines, hosts. kind keeps the id spaces apart.
CREATE TABLE name (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  UNIQUE (kind, text)
) STRICT;

-- People -----------------------------------------------------------------------------------------------------------
CREATE TABLE user (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  password_hash TEXT NOT NULL,              -- Argon2id
  role TEXT NOT NULL CHECK (role IN ('viewer', 'auditor', 'operator', 'admin')),
  created_at INTEGER NOT NULL,
  disabled_at INTEGER
) STRICT;

CREATE TABLE session (
  id_hash BLOB PRIMARY KEY,                 -- SHA-256 of the random id in the signed cookie
  user_id INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  address TEXT NOT NULL,
  client TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_user ON session (user_id);

-- One-time links: the setup URL of first boot and the login links of `z4j dev` and `make demo`.
CREATE TABLE login_link (
  secret_hash BLOB PRIMARY KEY,
  purpose TEXT NOT NULL CHECK (purpose IN ('setup', 'login')),
  user_id INTEGER REFERENCES user (id) ON DELETE CASCADE,
  expires_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT, WITHOUT ROWID;

-- Apps and their agents --------------------------------------------------------------------------------------------
CREATE TABLE app (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  created_at INTEGER NOT NULL,
  seal_key_id TEXT                          -- of the key made with the first token; the key itself is never stored
) STRICT;

CREATE TABLE token (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('agent', 'api')),
  secret_hash BLOB NOT NULL UNIQUE,         -- SHA-256; the secret is 256 random bits, so no slow hash is needed
  label TEXT NOT NULL,
  hint TEXT NOT NULL,                       -- the first characters, for telling two tokens apart
  app_id INTEGER REFERENCES app (id) ON DELETE CASCADE,     -- agent tokens
  role TEXT,                                                -- api tokens
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires_at INTEGER,
  used_at INTEGER,
  revoked_at INTEGER
) STRICT;

-- Who wrote a record: the boot named in its run token. A boot is known by its token before its origin record is; the
-- facts are filled in once and never change.
CREATE TABLE boot (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  boot TEXT NOT NULL,
  at INTEGER NOT NULL,                      -- of the origin record; 0 while unknown
  host TEXT NOT NULL DEFAULT '',
  pid INTEGER NOT NULL DEFAULT 0,
  role TEXT NOT NULL DEFAULT '',
  worker_id INTEGER NOT NULL DEFAULT 0,
  environment_id INTEGER NOT NULL DEFAULT 0,
  release_id INTEGER NOT NULL DEFAULT 0,
  is_known INTEGER NOT NULL DEFAULT 0,
  UNIQUE (app_id, boot)
) STRICT;
CREATE INDEX boot_worker ON boot (app_id, worker_id, at) WHERE worker_id != 0;

-- One row per process that dials in (a boot that has said hello).
CREATE TABLE agent (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  boot TEXT NOT NULL,
  spool TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  role TEXT NOT NULL,                       -- worker | producer
  worker_id INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  release_id INTEGER NOT NULL,
  engines TEXT NOT NULL,                    -- JSON {engine: version}
  capabilities TEXT NOT NULL,               -- JSON [[engine, action, scope, certainty, [states], note]]
  allow TEXT NOT NULL,
  denied TEXT NOT NULL,                     -- JSON [action]
  seal_key TEXT NOT NULL,                   -- id of the key it seals with, '' without one
  agent_version TEXT NOT NULL,
  notes TEXT NOT NULL,                      -- JSON [sentence], the agent's own warnings
  pool TEXT NOT NULL DEFAULT '',
  concurrency INTEGER,
  queues TEXT NOT NULL DEFAULT '[]',        -- JSON [queue], what a worker consumes
  worker_notes TEXT NOT NULL DEFAULT '[]',  -- JSON [sentence], warnings about the worker's configuration
  running TEXT NOT NULL DEFAULT '[]',       -- JSON [[engine, task_id, attempt, name, queue, started_at, pid]]
  spool_bytes INTEGER NOT NULL DEFAULT 0,
  dropped INTEGER NOT NULL DEFAULT 0,
  faults INTEGER NOT NULL DEFAULT 0,
  is_shipper INTEGER NOT NULL,
  clock_skew_us INTEGER NOT NULL,           -- our clock minus the agent's, when it said hello
  connected_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  left_at INTEGER,                          -- null: connected
  left_reason TEXT NOT NULL DEFAULT '',
  is_orderly INTEGER NOT NULL DEFAULT 0,    -- it said goodbye
  UNIQUE (app_id, boot)
) STRICT;
CREATE INDEX agent_seen ON agent (seen_at);
CREATE INDEX agent_worker ON agent (app_id, worker_id, connected_at);

CREATE TABLE gap (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  at INTEGER NOT NULL,
  events INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  cause TEXT NOT NULL,
  UNIQUE (app_id, key)
) STRICT;

CREATE INDEX gap_at ON gap (at);

-- Faults inside an agent, which its host never sees.
CREATE TABLE fault (
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  at INTEGER NOT NULL,
  place TEXT NOT NULL,
  error TEXT NOT NULL,
  events INTEGER NOT NULL,
  PRIMARY KEY (app_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX fault_at ON fault (at);

-- What the apps told about themselves --------------------------------------------------------------------------------
CREATE TABLE task_name (
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  engine_id INTEGER NOT NULL,
  name_id INTEGER NOT NULL,
  signature TEXT NOT NULL,
  doc TEXT NOT NULL,
  queue_id INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (app_id, engine_id, name_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  environment_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  queue_id INTEGER NOT NULL,
  depth INTEGER,                            -- null: the broker cannot tell
  consumers INTEGER,
  oldest_at INTEGER,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (app_id, environment_id, engine_id, queue_id)
) STRICT, WITHOUT ROWID;

-- Tasks ----------------------------------------------------------------------------------------------------------------
-- One row per (app, engine, task_id): the merge state of its events (rules/fold.py: Summary), written by the fold only.
-- A name id of 0 means "none"; 0 costs no byte, so what an ordinary task does not have is 0 or NULL.
CREATE TABLE task (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  task_id BLOB NOT NULL,                    -- 16 bytes for a canonical UUID, else 0x00 and UTF-8 (see tasks.encode_task_id)
  state INTEGER NOT NULL,                   -- state_key & 15
  state_key INTEGER NOT NULL,               -- this and the next nine columns are Summary.state
  state_at INTEGER NOT NULL,
  boot_id INTEGER NOT NULL,                 -- run token: boot and process id (-1: the token is the boot alone)
  pid INTEGER NOT NULL,
  worker_id INTEGER NOT NULL,
  runtime_us INTEGER,
  reason TEXT,
  error_type TEXT,
  error TEXT,
  result TEXT,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  enqueued_at INTEGER,
  eta_attempt INTEGER,
  eta_at INTEGER,
  received_attempt INTEGER,
  received_at INTEGER,
  start_attempt INTEGER,
  started_at INTEGER,
  name_rank INTEGER,
  name_id INTEGER NOT NULL,
  queue_rank INTEGER,
  queue_id INTEGER NOT NULL,
  environment_rank INTEGER,
  environment_id INTEGER NOT NULL,
  sent_rank INTEGER,
  sent TEXT,                                -- JSON [parent_id, root_id, group_id, retry_of, code, route, expires, priority]
  args_rank INTEGER,
  args TEXT,                                -- redacted display text
  is_masked INTEGER NOT NULL,
  original_key INTEGER NOT NULL,            -- low four bits: states.ORIGINAL_STATES
  cancel_asked_at INTEGER,
  flags INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX task_identity ON task (task_id, app_id, engine_id);
CREATE INDEX task_first ON task (first_at);
CREATE INDEX task_state ON task (state, first_at);
CREATE INDEX task_named ON task (name_id, first_at);
CREATE INDEX task_queue ON task (queue_id, first_at);
CREATE INDEX task_worker ON task (worker_id, first_at) WHERE worker_id != 0;
CREATE INDEX task_due ON task (eta_at) WHERE state = 1;
CREATE INDEX task_held ON task (boot_id) WHERE state IN (3, 4);

-- Links between tasks that need looking up from the other end (children, retried-as). Few tasks have them.
CREATE TABLE task_link (
  app_id INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('parent', 'retry_of')),
  target BLOB NOT NULL,                     -- encoded task_id
  task INTEGER NOT NULL,                    -- task.id
  PRIMARY KEY (app_id, kind, target, task)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_link_task ON task_link (task);

-- Runs that a plain first success does not need: retries, failures, redeliveries (rules/fold.py: RunSummary).
CREATE TABLE run (
  task INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  boot_id INTEGER NOT NULL,
  pid INTEGER NOT NULL,
  state_key INTEGER NOT NULL,
  state_at INTEGER NOT NULL,
  runtime_us INTEGER,
  worker_id INTEGER NOT NULL,
  reason TEXT,
  error_type TEXT,
  error TEXT,
  traceback TEXT,
  received_at INTEGER,
  started_at INTEGER,
  eta_at INTEGER,
  flags INTEGER NOT NULL,
  PRIMARY KEY (task, attempt, boot_id, pid)
) STRICT, WITHOUT ROWID;

-- The engine's own message, plain or sealed. Apart from `task` because it is kept for a different time.
CREATE TABLE original (
  task INTEGER PRIMARY KEY,
  key INTEGER NOT NULL,                     -- fold.original_key of the record it came with; the greatest stays
  data BLOB NOT NULL,
  key_id TEXT NOT NULL                      -- '': plain (compressed JSON); else AES-256-GCM under this key
) STRICT;

-- Exact counts for every combination a page can filter by, kept in the transaction that changes a task.
CREATE TABLE counter (
  app_id INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  queue_id INTEGER NOT NULL,
  name_id INTEGER NOT NULL,
  state INTEGER NOT NULL,
  tasks INTEGER NOT NULL,
  PRIMARY KEY (app_id, environment_id, engine_id, queue_id, name_id, state)
) STRICT, WITHOUT ROWID;

-- Ends per minute, by the minute they ended in.
CREATE TABLE minute (
  minute INTEGER NOT NULL,                  -- microseconds UTC divided by 60,000,000
  app_id INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  queue_id INTEGER NOT NULL,
  name_id INTEGER NOT NULL,
  state INTEGER NOT NULL,
  tasks INTEGER NOT NULL,
  runtime_us INTEGER NOT NULL,
  PRIMARY KEY (minute, app_id, environment_id, engine_id, queue_id, name_id, state)
) STRICT, WITHOUT ROWID;

-- Counters of what was refused: malformed records, events from the future, …, shown on Workers.
CREATE TABLE refused (
  app_id INTEGER NOT NULL,
  cause TEXT NOT NULL,
  events INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (app_id, cause)
) STRICT, WITHOUT ROWID;

-- Commands and audit -----------------------------------------------------------------------------------------------
CREATE TABLE command (
  id TEXT PRIMARY KEY,                      -- 32 hex digits
  app_id INTEGER NOT NULL,
  engine TEXT NOT NULL,
  action TEXT NOT NULL,
  task INTEGER,                             -- task.id it is about
  task_id TEXT NOT NULL DEFAULT '',
  params TEXT NOT NULL,                     -- JSON, without the original
  target TEXT NOT NULL DEFAULT '',          -- worker name, or '' for any agent of the app
  status TEXT NOT NULL,                     -- waiting | sent | accepted | done | failed | refused | unsupported | expired | unknown
  detail TEXT NOT NULL DEFAULT '{}',        -- JSON, what the agent answered
  asked_by TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  sent_at INTEGER,
  spool TEXT,                               -- once handed over, only this spool folder may see it again
  ended_at INTEGER
) STRICT;
CREATE INDEX command_created ON command (created_at);
CREATE INDEX command_open ON command (app_id, status) WHERE ended_at IS NULL;
CREATE INDEX command_task ON command (task) WHERE task IS NOT NULL;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,                  -- gapless from 1
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,                      -- user name, token label, or 'system'
  role TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  outcome TEXT NOT NULL,                    -- done | refused | failed
  detail TEXT NOT NULL,                     -- JSON
  address TEXT NOT NULL,
  key_id TEXT NOT NULL,
  mac BLOB NOT NULL                         -- HMAC-SHA256 over the canonical row and the previous mac
) STRICT;

-- Small things the appliance remembers about itself.
CREATE TABLE setting (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
