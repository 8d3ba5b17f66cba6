-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_run --
-- The merge state of one run. Index: the primary key.
SELECT state_key, state_at, runtime_us, worker_id, reason, error_type, error, traceback, received_at, started_at, eta_at,
  flags, usage
FROM run WHERE task = :task AND attempt = :attempt AND boot_id = :boot_id AND pid = :pid;

-- read_runs --
-- The merge states of all runs of a task. Index: the primary key.
SELECT attempt, boot_id, pid, state_key, state_at, runtime_us, worker_id, reason, error_type, error, traceback, received_at, started_at, eta_at,
  flags, usage
FROM run WHERE task = :task;

-- delete_runs --
-- The runs of a task, before others are put in their place. Index: the primary key.
DELETE FROM run WHERE task = :task;

-- put_run --
-- A run as it is now.
INSERT OR REPLACE INTO run (task, attempt, boot_id, pid, state_key, state_at, runtime_us, worker_id, reason, error_type,
  error, traceback, received_at, started_at, eta_at, flags, usage)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- list_runs --
-- Every run of a task that its own row does not tell, first attempt first. Index: the primary key.
SELECT r.attempt, r.state_key, r.state_at, r.runtime_us, w.text, r.reason, r.error_type, r.error, r.traceback,
  r.received_at, r.started_at, r.eta_at, r.flags, b.boot, r.pid, b.host, v.text, r.usage
FROM run AS r LEFT JOIN boot AS b ON b.id = r.boot_id LEFT JOIN name AS w ON w.id = r.worker_id
  LEFT JOIN name AS v ON v.id = b.release_id
WHERE r.task = :task ORDER BY r.attempt, coalesce(r.started_at, r.state_at), r.boot_id, r.pid;
