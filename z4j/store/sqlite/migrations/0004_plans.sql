-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Commands know where they belong, and may be about a queue.
ALTER TABLE command ADD COLUMN environment TEXT NOT NULL DEFAULT '';
ALTER TABLE command ADD COLUMN queue TEXT NOT NULL DEFAULT '';
CREATE INDEX command_queue ON command (queue, created_at) WHERE queue != '';

-- Queues that are paused. Engines forget that at a restart, so every worker that connects is told again; of a hold that has ended too.
CREATE TABLE hold (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  environment TEXT NOT NULL,
  engine TEXT NOT NULL,
  queue TEXT NOT NULL,
  at INTEGER NOT NULL,
  asked_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  ended_at INTEGER,
  ended_by TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX hold_open ON hold (app_id, environment, engine, queue) WHERE ended_at IS NULL;
CREATE INDEX hold_ended ON hold (ended_at) WHERE ended_at IS NOT NULL;

-- Frozen bulk actions. What is frozen never changes; `status`, `pace`, `note` and the times after created_at do.
CREATE TABLE plan (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,                 -- 16 hex digits; the command of an item is "<key>.<seq>"
  action TEXT NOT NULL,
  params TEXT NOT NULL,                     -- JSON
  source TEXT NOT NULL,                     -- the filter as a query string, or what it undoes
  author TEXT NOT NULL,
  reason TEXT NOT NULL,
  status TEXT NOT NULL,                     -- freezing | frozen | running | paused | done | aborted
  digest TEXT NOT NULL DEFAULT '',          -- SHA-256 over action, params and every item in order
  items INTEGER NOT NULL DEFAULT 0,
  excluded TEXT NOT NULL DEFAULT '{}',      -- JSON {reason: how many}
  samples TEXT NOT NULL DEFAULT '[]',       -- JSON, up to twenty items as they were
  load_us INTEGER,                          -- estimated time of workers; null where nothing is known
  pace TEXT NOT NULL DEFAULT '{}',          -- JSON, see rules/plans.py
  note TEXT NOT NULL DEFAULT '',            -- why it stands still, in a sentence
  undo_of TEXT NOT NULL DEFAULT '',         -- "plan <id>" or "command <id>"
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER
) STRICT;
CREATE INDEX plan_created ON plan (created_at);
CREATE INDEX plan_status ON plan (status) WHERE status IN ('freezing', 'running');

-- The split of a plan: who has to carry out what.
CREATE TABLE plan_group (
  plan_id INTEGER NOT NULL REFERENCES plan (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  app_id INTEGER NOT NULL,
  environment TEXT NOT NULL,
  engine TEXT NOT NULL,
  queue TEXT NOT NULL,
  name TEXT NOT NULL,
  items INTEGER NOT NULL,
  PRIMARY KEY (plan_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE plan_item (
  plan_id INTEGER NOT NULL REFERENCES plan (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL,                     -- from 1, in the order of execution
  task INTEGER NOT NULL,                    -- task.id
  task_id BLOB NOT NULL,                    -- encoded, see task_ids
  state INTEGER NOT NULL,                   -- of the task when it was frozen
  number INTEGER NOT NULL,                  -- plan_group.number
  status INTEGER NOT NULL DEFAULT 0,        -- rules/plans.py: ITEM
  spool TEXT,                               -- once handed over, only this spool folder may see it again
  sent_at INTEGER,
  ended_at INTEGER,
  detail TEXT,
  kept BLOB,                                -- of a deleted task: everything needed to put it back
  PRIMARY KEY (plan_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX plan_item_waiting ON plan_item (plan_id, seq) WHERE status = 0;
CREATE INDEX plan_item_sent ON plan_item (plan_id, seq) WHERE status = 1;
CREATE INDEX plan_item_task ON plan_item (task);

-- How many items have which status, kept in the transaction that changes an item.
CREATE TABLE plan_count (
  plan_id INTEGER NOT NULL REFERENCES plan (id) ON DELETE CASCADE,
  status INTEGER NOT NULL,
  items INTEGER NOT NULL,
  PRIMARY KEY (plan_id, status)
) STRICT, WITHOUT ROWID;
