-- SPDX-License-Identifier: AGPL-3.0-or-later
-- read_task --
-- A complete task, so that it can be restored.
SELECT id, app_id, engine_id, task_id, state, state_key, state_at, boot_id, pid, worker_id, runtime_us, reason, error_type, error,
  result, first_at, last_at, enqueued_at, eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at,
  name_rank, name_id, queue_rank, queue_id, environment_rank, environment_id, sent_rank, sent, args_rank, args, is_masked,
  original_key, cancel_asked_at, flags, life, label, usage
FROM task WHERE id = :id;

-- read_runs --
-- Its runs. Index: the primary key.
SELECT task, attempt, boot_id, pid, state_key, state_at, runtime_us, worker_id, reason, error_type, error, traceback, received_at,
  started_at, eta_at, flags, usage
FROM run WHERE task = :id;

-- read_notes --
-- What its attempts reported about themselves. Index: the primary key.
SELECT task, attempt, run, started_at, fields, ids, excess, progress FROM run_note WHERE task = :id;

-- read_original --
-- Its original.
SELECT task, key, data, key_id, broker_id FROM original WHERE task = :id;

-- read_links --
-- Its links, what it waits for, and its group. Index: task_link_task, task_relation_task.
SELECT app_id, kind, target, task FROM task_link WHERE task = :id
UNION ALL SELECT app_id, kind, target, task FROM task_relation WHERE task = :id;

-- put_task --
-- The task as it was, unless its id or its place is taken.
INSERT INTO task (id, app_id, engine_id, task_id, state, state_key, state_at, boot_id, pid, worker_id, runtime_us, reason, error_type, error,
  result, first_at, last_at, enqueued_at, eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at,
  name_rank, name_id, queue_rank, queue_id, environment_rank, environment_id, sent_rank, sent, args_rank, args, is_masked,
  original_key, cancel_asked_at, flags, life, label, usage)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING RETURNING id;

-- put_run --
-- One of its runs.
INSERT INTO run (task, attempt, boot_id, pid, state_key, state_at, runtime_us, worker_id, reason, error_type, error, traceback, received_at,
  started_at, eta_at, flags, usage)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- put_note --
-- What one of its attempts reported.
INSERT INTO run_note (task, attempt, run, started_at, fields, ids, excess, progress) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- put_original --
-- Its original.
INSERT INTO original (task, key, data, key_id, broker_id) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- put_kept --
-- What is needed to put a task back, beside the item of the plan that deletes it.
UPDATE plan_item SET kept = ? WHERE plan_id = ? AND seq = ?;

-- get_kept --
-- The same, read by the plan that puts it back.
SELECT kept FROM plan_item WHERE plan_id = :id AND task = :task AND status = 2;
