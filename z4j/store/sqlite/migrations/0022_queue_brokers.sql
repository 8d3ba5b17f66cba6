-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Two queues of one name in two brokers are two queues. The broker's identity is a name of kind 'broker'; 0: not reported.
CREATE TABLE queue_of_broker (
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  environment_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  queue_id INTEGER NOT NULL,
  broker_id INTEGER NOT NULL,
  depth INTEGER,                            -- null: the broker cannot tell
  consumers INTEGER,
  oldest_at INTEGER,
  seen_at INTEGER NOT NULL,
  delayed INTEGER,
  dead INTEGER,
  PRIMARY KEY (app_id, environment_id, engine_id, queue_id, broker_id)
) STRICT, WITHOUT ROWID;

INSERT INTO queue_of_broker
  SELECT app_id, environment_id, engine_id, queue_id, 0, depth, consumers, oldest_at, seen_at, delayed, dead FROM queue;

DROP TABLE queue;

ALTER TABLE queue_of_broker RENAME TO queue;
