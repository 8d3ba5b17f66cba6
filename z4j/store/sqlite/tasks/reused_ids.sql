-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_events --
-- The kept events of an id that came again. Index: the primary key.
SELECT task, digest, event FROM life_event WHERE app_id = :app_id AND engine_id = :engine_id AND task_id = :task_id;

-- put_event --
-- An event, with the row of the execution it belongs to.
INSERT INTO life_event (app_id, engine_id, task_id, digest, task, at, event) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET task = excluded.task;

-- drop_events --
-- The events of a life that is settled. Index: life_event_task.
DELETE FROM life_event WHERE task = ?;

-- list_old --
-- Ids with kept events of which nothing was heard since. Index: life_event_at, the primary key.
SELECT DISTINCT app_id, engine_id, task_id FROM life_event AS e WHERE at < :before AND NOT EXISTS (SELECT 1 FROM life_event AS n
  WHERE n.app_id = e.app_id AND n.engine_id = e.engine_id AND n.task_id = e.task_id AND n.at >= :before) LIMIT :limit;

-- drop_id --
-- The events of an id. Index: the primary key.
DELETE FROM life_event WHERE app_id = ? AND engine_id = ? AND task_id = ?;

-- clear_flag --
-- An id of which there is one row can be joined without looking closely. Index: task_identity.
UPDATE task SET flags = flags & ~16 WHERE app_id = :app_id AND engine_id = :engine_id AND task_id = :task_id AND life = 0 AND NOT EXISTS (
  SELECT 1 FROM task AS o WHERE o.task_id = :task_id AND o.app_id = :app_id AND o.engine_id = :engine_id AND o.life > 0);

-- spread --
-- No row of an id is its newest, before `promote` says which is. Index: task_identity.
UPDATE task SET life = id WHERE app_id = ? AND engine_id = ? AND task_id = ?;

-- promote --
-- The newest execution that is left is the one its id means. Index: task_identity.
UPDATE task SET life = 0 WHERE id = (
  SELECT id FROM task WHERE app_id = ? AND engine_id = ? AND task_id = ? ORDER BY first_at DESC, id DESC LIMIT 1);

-- count_runs --
-- How many runs a row has, counted up to a limit. Index: the primary key.
SELECT count(*) FROM (SELECT 1 FROM run WHERE task = :task LIMIT :limit);

-- find_row --
-- What a fact about one row needs to know of it. Index: the primary key.
SELECT app_id, engine_id, task_id, flags & 16 FROM task WHERE id = ?;

-- read_rows --
-- The rows of executions, as `task_writer.find` reads them. Index: the primary key.
SELECT id, state, state_key, state_at, boot_id, pid, worker_id, runtime_us, reason, error_type, error, result,
  first_at, last_at, enqueued_at, eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at,
  name_rank, name_id, queue_rank, queue_id, environment_rank, environment_id, sent_rank, sent, label, args_rank, args,
  is_masked, original_key, cancel_asked_at, flags, usage
FROM task WHERE id IN (SELECT value FROM json_each(:ids));

-- settled_row --
-- The settled execution that was the newest at a time; walked from the newest on. Index: task_identity.
SELECT id FROM task WHERE task_id = :task_id AND app_id = :app_id AND engine_id = :engine_id AND life > 0 AND first_at <= :at
  AND id NOT IN (SELECT value FROM json_each(:without))
ORDER BY life DESC LIMIT 1;

-- has_settled --
-- Whether an id has an execution whose events were deleted. Index: task_identity.
SELECT EXISTS (SELECT 1 FROM task WHERE task_id = :task_id AND app_id = :app_id AND engine_id = :engine_id AND life > 0
  AND id NOT IN (SELECT value FROM json_each(:without)));

-- set_life --
-- Which execution of its id a row is: 0 the newest, else its own id.
UPDATE task SET life = ? WHERE id = ?;

-- read_original --
-- The original that is kept of an execution. Index: the primary key.
SELECT key, data, key_id, broker_id FROM original WHERE task = :task;

-- delete_original --
-- It belongs to another execution.
DELETE FROM original WHERE task = ?;

-- delete_links --
-- The links of an execution, before they are written again. Index: task_link_task.
DELETE FROM task_link WHERE task = ?;

-- delete_relations --
-- The same of what it waits for, and of its group. Index: task_relation_task.
DELETE FROM task_relation WHERE task = ?;

-- delete_row --
-- A row whose events turned out to belong to another execution.
DELETE FROM task WHERE id = ?;

-- move_commands --
-- What was asked of that row was asked of the other. Index: command_task.
UPDATE command SET task = ? WHERE task = ?;

-- move_items --
-- The same for plans. Index: plan_item_task.
UPDATE plan_item SET task = ? WHERE task = ?;

-- list_executions --
-- The rows that bear the id of a task, the earliest first, with their state. Index: task_identity.
SELECT o.id, o.first_at, o.state FROM task AS t JOIN task AS o ON o.task_id = t.task_id AND o.app_id = t.app_id AND o.engine_id = t.engine_id
WHERE t.id = :id ORDER BY o.first_at DESC, o.id DESC LIMIT 1000;
