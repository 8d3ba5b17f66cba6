-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What people split off from a fingerprint: failures that match are counted by another fingerprint, whose home is the group of the part.
CREATE TABLE error_split (
  id INTEGER PRIMARY KEY,
  fingerprint INTEGER NOT NULL,             -- from which it is split off
  kind INTEGER NOT NULL,                    -- rules/errors/splits.py
  pattern TEXT NOT NULL,
  part INTEGER NOT NULL,                    -- the fingerprint of what matches
  left_kind INTEGER,                        -- how far stored failures were looked at: kind, time and task; null: all were
  left_at INTEGER,
  left_task INTEGER
) STRICT;
CREATE INDEX error_split_fingerprint ON error_split (fingerprint);
CREATE INDEX error_split_part ON error_split (part);

-- What a task waits for and to which group it belongs: tasks are found by it from the other end. Few tasks have such.
CREATE TABLE task_relation (
  app_id INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('depends_on', 'group')),
  target BLOB NOT NULL,                     -- encoded task_id, or the id of the group likewise
  task INTEGER NOT NULL,                    -- task.id
  PRIMARY KEY (app_id, kind, target, task)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_relation_task ON task_relation (task);
