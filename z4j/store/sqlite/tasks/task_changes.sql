-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_to_counter --
-- One more or less of a kind of task.
INSERT INTO counter (app_id, environment_id, engine_id, queue_id, name_id, state, tasks) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks;

-- add_to_minute --
-- One more or less that ended in a minute.
INSERT INTO minute (minute, app_id, environment_id, engine_id, queue_id, name_id, state, tasks, runtime_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks, runtime_us = runtime_us + excluded.runtime_us;

-- add_to_minute_total --
-- The same for all queues, names and states together.
INSERT INTO minute_total (minute, app_id, environment_id, engine_id, tasks, failed) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks, failed = failed + excluded.failed;
