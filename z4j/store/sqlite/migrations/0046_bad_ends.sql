-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The tasks of a name, a queue or a worker that ended without success (lost, cancelled, expired, rejected, failed): a list of them is
-- found although few of its tasks are among them. Only such tasks are in these indexes. The states are a range and no list: for a list,
-- every statement that changes a task would build a table first (20 µs for each index).
CREATE INDEX task_bad_name ON task (name_id, first_at) WHERE state > 5 AND state < 12;
CREATE INDEX task_bad_queue ON task (queue_id, first_at) WHERE state > 5 AND state < 12;
CREATE INDEX task_bad_worker ON task (worker_id, first_at) WHERE state > 5 AND state < 12 AND worker_id != 0;
