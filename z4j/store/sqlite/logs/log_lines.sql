-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_run --
-- A run that wrote lines. Index: log_run_identity.
SELECT id, lines, bytes, dropped, last_at, noted FROM log_run WHERE task_id = :task_id AND app_id = :app_id AND engine_id = :engine_id
  AND attempt = :attempt AND started_at = :started_at AND boot_id = :boot_id AND pid = :pid;

-- add_run --
-- A run that writes its first line.
INSERT INTO log_run (task_id, app_id, engine_id, attempt, started_at, boot_id, pid, lines, bytes, dropped, last_at, noted)
VALUES (:task_id, :app_id, :engine_id, :attempt, :started_at, :boot_id, :pid, 0, 0, 0, 0, 0) RETURNING id;

-- change_run --
-- The same, with more lines. Index: the primary key.
UPDATE log_run SET lines = :lines, bytes = :bytes, dropped = :dropped, last_at = :last_at, noted = :noted WHERE id = :id;

-- read_lines --
-- Stored lines among some numbers. Index: the primary key.
SELECT seq, at, level, logger, message, dropped FROM log_line WHERE run = :run AND seq BETWEEN :low AND :high;

-- put_line --
-- A line.
INSERT OR REPLACE INTO log_line (run, seq, at, level, logger, message, dropped) VALUES (?, ?, ?, ?, ?, ?, ?);

-- count_usage --
-- What the lines of an app take now. Index: the primary key.
INSERT INTO log_usage (app_id, lines, bytes) VALUES (:app_id, :lines, :bytes)
ON CONFLICT DO UPDATE SET lines = lines + excluded.lines, bytes = bytes + excluded.bytes;

-- find_tasks --
-- The newest execution of an id. Index: task_identity.
SELECT id FROM task WHERE task_id = :task_id AND app_id = :app_id AND engine_id = :engine_id AND life = 0;

-- part_of_task --
-- The runs of a task. Where its id is used repeatedly, those that started while it was reported.
r.task_id = t.task_id AND r.app_id = t.app_id AND r.engine_id = t.engine_id
  AND (t.flags & 16 = 0 OR r.started_at BETWEEN t.first_at AND t.last_at)

-- list_runs --
-- The newest runs of a task that wrote lines. Index: the primary key of task, log_run_identity.
SELECT r.id, r.attempt, r.started_at, b.boot, r.pid, b.host, r.lines, r.dropped, r.last_at
FROM task AS t JOIN log_run AS r ON {part_of_task} LEFT JOIN boot AS b ON b.id = r.boot_id
WHERE t.id = :task ORDER BY r.attempt DESC, r.started_at DESC, r.id DESC LIMIT :limit;

-- list_lines --
-- The last lines of a run, from a level on. Index: the primary key.
SELECT seq, at, level, logger, message, dropped FROM log_line WHERE run = :run AND level >= :level ORDER BY seq DESC LIMIT :limit;

-- list_messages --
-- What the lines of a task say, for the index of words. Index: as in list_runs, and the primary key.
SELECT l.message FROM task AS t JOIN log_run AS r ON {part_of_task} JOIN log_line AS l ON l.run = r.id
WHERE t.id = :task ORDER BY r.attempt DESC, r.started_at DESC, r.id DESC, l.seq LIMIT :limit;

-- has_lines --
-- Whether there is any line at all. One step.
SELECT EXISTS (SELECT 1 FROM log_run);

-- list_of_id --
-- The runs of a task that was deleted, by its id and the times between which it was reported. Index: log_run_identity.
SELECT id, app_id, lines, bytes FROM log_run WHERE task_id = :task_id AND app_id = :app_id AND engine_id = :engine_id
  AND started_at BETWEEN :since AND :until;

-- list_old --
-- Some runs without a line since then. Index: log_run_last.
SELECT id, app_id, lines, bytes FROM log_run WHERE last_at < :before ORDER BY last_at LIMIT :limit;

-- list_oldest --
-- The runs of an app whose last line is the oldest. Index: log_run_app.
SELECT id, app_id, lines, bytes FROM log_run WHERE app_id = :app_id ORDER BY last_at LIMIT :limit;

-- delete_run --
-- A run. Index: the primary key.
DELETE FROM log_run WHERE id = ?;

-- delete_lines --
-- Its lines. Index: the primary key.
DELETE FROM log_line WHERE run = ?;

-- list_usage --
-- What the lines of each app take.
SELECT app_id, lines, bytes FROM log_usage WHERE lines > 0;
