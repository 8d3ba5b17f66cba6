-- SPDX-License-Identifier: AGPL-3.0-or-later
-- An id that comes again is another row. `life` is 0 in the newest row of an id, and its own id in each earlier one.
ALTER TABLE task ADD COLUMN life INTEGER NOT NULL DEFAULT 0;
DROP INDEX task_identity;
CREATE UNIQUE INDEX task_identity ON task (task_id, app_id, engine_id, life);

-- The events of ids that came again, until their lives are settled. An id that comes once has none.
CREATE TABLE life_event (
  app_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  task_id BLOB NOT NULL,
  digest BLOB NOT NULL,                     -- of `event`: a copy is not kept twice; 'base': what the row said before events were kept
  task INTEGER NOT NULL,                    -- task.id of the life it belongs to, as far as is known
  at INTEGER NOT NULL,
  event BLOB NOT NULL,                      -- msgpack [event, original or null, key id, identity of the broker, whether it was retold from a row]
  PRIMARY KEY (app_id, engine_id, task_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX life_event_task ON life_event (task);
CREATE INDEX life_event_at ON life_event (at);
