-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_to_counter --
-- One more or less of a kind of task.
INSERT INTO counter (app_id, environment_id, engine_id, queue_id, name_id, state, tasks) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks;
