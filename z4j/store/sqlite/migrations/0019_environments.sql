-- SPDX-License-Identifier: AGPL-3.0-or-later
-- A registered task belongs to an environment: its signature, queue and proof may differ between them. What was reported before counts
-- for every environment of the app with that engine, until agents report it again or its age deletes it.
CREATE TABLE registered (
  app_id INTEGER NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  name_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  signature TEXT NOT NULL,
  doc TEXT NOT NULL,
  queue_id INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  proof TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (app_id, name_id, engine_id, environment_id)
) STRICT, WITHOUT ROWID;
INSERT INTO registered
SELECT t.app_id, t.name_id, t.engine_id, a.environment_id, t.signature, t.doc, t.queue_id, t.seen_at, t.proof
FROM task_name AS t JOIN name AS e ON e.id = t.engine_id JOIN (
  SELECT DISTINCT a.app_id, a.environment_id, j.key AS engine FROM agent AS a, json_each(a.engines) AS j
) AS a ON a.app_id = t.app_id AND a.engine = e.text;
DROP TABLE task_name;
ALTER TABLE registered RENAME TO task_name;
