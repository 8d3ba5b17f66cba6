-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What attempts report about themselves: annotations, progress, and the ids under which other tools know them. Few tasks have such.
CREATE TABLE run_note (
  task INTEGER NOT NULL,                    -- task.id
  attempt INTEGER NOT NULL,
  run TEXT NOT NULL,                        -- the process token
  started_at INTEGER NOT NULL,              -- of the attempt; says which execution of a reused id it belongs to
  fields TEXT NOT NULL,                     -- JSON: {name: [when it was set, value]}
  ids TEXT NOT NULL,                        -- the same of trace_id and sentry_event_id
  excess INTEGER NOT NULL,                  -- annotations that were left out
  progress TEXT,                            -- JSON: [when, done, total or null, text]
  PRIMARY KEY (task, attempt, run, started_at)
) STRICT, WITHOUT ROWID;

-- Links of the page of a task to other tools.
CREATE TABLE link_template (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  url TEXT NOT NULL,                        -- with placeholders, see rules/link_templates.py
  created_at INTEGER NOT NULL
) STRICT;
