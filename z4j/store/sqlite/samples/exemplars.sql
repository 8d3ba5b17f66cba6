-- SPDX-License-Identifier: AGPL-3.0-or-later
-- newest_of_state --
-- The newest tasks of a state, with the fields of their waits and runtimes. Index: task_state, then the primary key.
SELECT t.app_id, t.environment_id, t.engine_id, t.name_id, t.queue_id, t.id, t.task_id, t.state_at, t.runtime_us, t.start_attempt,
  t.enqueued_at, t.eta_at, t.eta_attempt, t.received_at, t.received_attempt, t.started_at
FROM (SELECT id FROM task INDEXED BY task_state WHERE state = :state ORDER BY first_at DESC LIMIT :limit) AS s
  CROSS JOIN task AS t ON t.id = s.id;
