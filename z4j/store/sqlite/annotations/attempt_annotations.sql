-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_note --
-- What is stored of an attempt. Index: the primary key.
SELECT fields, ids, excess, progress FROM run_note
WHERE task = :task AND attempt = :attempt AND run = :run AND started_at = :started_at;

-- put_note --
-- The same, written.
INSERT INTO run_note (task, attempt, run, started_at, fields, ids, excess, progress)
VALUES (:task, :attempt, :run, :started_at, :fields, :ids, :excess, :progress)
ON CONFLICT DO UPDATE SET fields = excluded.fields, ids = excluded.ids, excess = excluded.excess, progress = excluded.progress;

-- delete_note --
-- It belongs to another row. Index: the primary key.
DELETE FROM run_note
WHERE task = :task AND attempt = :attempt AND run = :run AND started_at = :started_at;

-- list_notes --
-- What is stored of the attempts of some tasks (JSON). Index: the primary key.
SELECT task, attempt, run, started_at, fields, ids, excess, progress FROM run_note
WHERE task IN (SELECT value FROM json_each(:tasks)) ORDER BY task, attempt, started_at, run;

-- list_executions --
-- The rows of an id: whether it is the newest (0), and its state. Index: task_identity.
SELECT id, life, state, state_at FROM task WHERE app_id = :app_id AND engine_id = :engine_id AND task_id = :task_id;
