-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_tasks --
-- The merge states of up to 64 tasks, to be joined with news; the marks that are not needed are NULL. One statement for
-- many, because in a busy stream most are not there yet. Of an id that came again its newest life. Index: task_identity. From `state` on in
-- the order of `TaskColumns`.
SELECT task_id, id, state, state_key, state_at, boot_id, pid, worker_id, runtime_us, reason, error_type, error, result,
  first_at, last_at, enqueued_at, eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at,
  name_rank, name_id, queue_rank, queue_id, environment_rank, environment_id, sent_rank, sent, label, args_rank, args,
  is_masked, original_key, cancel_asked_at, flags, usage
FROM task WHERE app_id = ? AND engine_id = ? AND task_id IN (
  ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
  ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
) AND life = 0;

-- newest_task --
-- Where ids continue: never with a used one, to which a plan or a bookmark may still point.
SELECT max((SELECT coalesce(max(id), 0) FROM task), coalesce((SELECT CAST(value AS INTEGER) FROM setting WHERE key = 'newest_task'), 0));

-- add_task --
-- A task seen for the first time. Nothing happens if it is there already.
INSERT INTO task (state, state_key, state_at, boot_id, pid, worker_id, runtime_us, reason, error_type, error, result,
  first_at, last_at, enqueued_at, eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at,
  name_rank, name_id, queue_rank, queue_id, environment_rank, environment_id, sent_rank, sent, label, args_rank, args,
  is_masked, original_key, cancel_asked_at, flags, usage, id, app_id, engine_id, task_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task_id, app_id, engine_id, life) DO NOTHING;

-- change_task --
-- Changes of a known task. The parameters of this and the next two blocks are the same: all columns, then the id.
UPDATE task SET (state, state_key, state_at, boot_id, pid, worker_id, runtime_us, reason, error_type, error, result, first_at,
  last_at, enqueued_at, eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at, name_rank, name_id,
  queue_rank, queue_id, environment_rank, environment_id, sent_rank, sent, label, args_rank, args, is_masked, original_key,
  cancel_asked_at, flags, usage)
= (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26,
  ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36)
WHERE id = ?37;

-- change_progress --
-- News that leave alone what the lists are ordered by. SQLite writes every index whose columns a statement names.
UPDATE task SET (state, state_key, state_at, boot_id, pid, runtime_us, reason, error_type, error, result, last_at,
  enqueued_at, eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at, name_rank, queue_rank,
  environment_rank, environment_id, sent_rank, sent, args_rank, args, is_masked, original_key, cancel_asked_at, flags, usage)
= (?1, ?2, ?3, ?4, ?5, ?7, ?8, ?9, ?10, ?11, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?23, ?25, ?26, ?27, ?28, ?30, ?31,
  ?32, ?33, ?34, ?35, ?36)
WHERE id = ?37;

-- change_progress_and_worker --
-- The same, with the worker that has begun.
UPDATE task SET (state, state_key, state_at, boot_id, pid, worker_id, runtime_us, reason, error_type, error, result, last_at,
  enqueued_at, eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at, name_rank, queue_rank,
  environment_rank, environment_id, sent_rank, sent, args_rank, args, is_masked, original_key, cancel_asked_at, flags, usage)
= (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?23, ?25, ?26, ?27, ?28, ?30,
  ?31, ?32, ?33, ?34, ?35, ?36)
WHERE id = ?37;

-- change_run --
-- Progress of a task: received, or started. Almost every task has one such change, and one of its end. Both are written for many
-- rows at a time (see `Connection.write_rows`). Index: the primary key.
UPDATE task SET (state, state_key, state_at, boot_id, pid, worker_id, last_at, received_attempt, received_at, start_attempt, started_at,
  flags)
= (n.column1, n.column2, n.column3, n.column4, n.column5, n.column6, n.column7, n.column8, n.column9, n.column10, n.column11, n.column12)
FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS n WHERE task.id = n.column13;

-- change_end --
-- The end of a task, in the process that has started it.
UPDATE task SET (state, state_key, state_at, boot_id, pid, runtime_us, reason, error_type, error, result, last_at, received_attempt,
  received_at, flags, usage)
= (n.column1, n.column2, n.column3, n.column4, n.column5, n.column6, n.column7, n.column8, n.column9, n.column10, n.column11, n.column12,
  n.column13, n.column14, n.column15)
FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS n WHERE task.id = n.column16;

-- first_starts --
-- When the stored runs of the first attempt started; asked only where a later attempt hides it in the task's row. Index: the primary key.
SELECT started_at FROM run WHERE task = ? AND attempt = 0 AND started_at IS NOT NULL;

-- add_link --
-- From a task to the one it came from, for looking it up from the other end.
INSERT OR IGNORE INTO task_link (app_id, kind, target, task) VALUES (?, ?, ?, ?);

-- add_relation --
-- What a task waits for, or its group.
INSERT OR IGNORE INTO task_relation (app_id, kind, target, task) VALUES (?, ?, ?, ?);
