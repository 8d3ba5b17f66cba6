-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_first --
-- Tasks in the order they came, after a place and from before a time, each with whether it may be deleted: ended, or not heard of since
-- :quiet, or any where :is_any. Read without holding the writer. Index: task_first.
SELECT id, first_at, app_id, :is_any OR state IN (6, 8, 9, 10, 11, 12) OR (last_at < :quiet AND state != 1) FROM task
WHERE (first_at, id) > (:since, :id) AND first_at < :before ORDER BY first_at, id LIMIT :limit;

-- delete_tasks --
-- Those of these tasks (:ids, JSON) that still may be deleted. Gives what the counters counted each by, and whether its id came again.
DELETE FROM task WHERE id IN (SELECT value FROM json_each(:ids))
AND (:is_any OR state IN (6, 8, 9, 10, 11, 12) OR (last_at < :quiet AND state != 1))
RETURNING app_id, environment_id, engine_id, queue_id, name_id, state, id, flags & 16, life, task_id, first_at, last_at;

-- keep_newest --
-- The highest id there ever was, noted before it may be deleted. One step to the end of the table.
INSERT INTO setting (key, value) SELECT 'newest_task', max(id) FROM task WHERE true
ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER));

-- delete_runs --
-- The runs of these tasks (JSON). Index: the primary key.
DELETE FROM run WHERE task IN (SELECT value FROM json_each(?));

-- delete_notes --
-- What they reported about themselves. Index: the primary key.
DELETE FROM run_note WHERE task IN (SELECT value FROM json_each(?));

-- delete_originals --
-- Their originals.
DELETE FROM original WHERE task IN (SELECT value FROM json_each(?));

-- delete_links --
-- Their links. Index: task_link_task.
DELETE FROM task_link WHERE task IN (SELECT value FROM json_each(?));

-- delete_relations --
-- What they wait for, and their groups. Index: task_relation_task.
DELETE FROM task_relation WHERE task IN (SELECT value FROM json_each(?));

-- list_succeeded --
-- Succeeded tasks in the order they came, whose originals may go before they do. Index: task_state.
SELECT id, first_at FROM task WHERE state = 12 AND (first_at, id) > (:since, :id) AND first_at < :before
ORDER BY first_at, id LIMIT :limit;

-- read_swept --
-- How far the originals of succeeded tasks were deleted.
SELECT CAST(value AS INTEGER) FROM setting WHERE key = 'originals_swept_to';

-- put_swept --
-- Stores the progress.
INSERT INTO setting (key, value) VALUES ('originals_swept_to', :at) ON CONFLICT DO UPDATE SET value = excluded.value;

-- delete_gaps --
-- Some gaps reported before then. Index: gap_at.
DELETE FROM gap WHERE id IN (SELECT id FROM gap WHERE at < :before LIMIT :limit);

-- delete_faults --
-- Some faults reported before then. Index: fault_at.
DELETE FROM fault WHERE (app_id, key) IN (SELECT app_id, key FROM fault WHERE at < :before LIMIT :limit);

-- delete_agents --
-- Some processes that left before then. Index: agent_seen.
DELETE FROM agent WHERE id IN (SELECT id FROM agent WHERE seen_at < :before AND left_at IS NOT NULL LIMIT :limit);

-- delete_queues --
-- Some queues that no broker has listed since then. Scans queues only.
DELETE FROM queue WHERE (app_id, environment_id, engine_id, queue_id, broker_id) IN (
  SELECT app_id, environment_id, engine_id, queue_id, broker_id FROM queue
  WHERE seen_at < :before AND :app_id IN (-1, app_id) LIMIT :limit);

-- delete_task_names --
-- Some task names that no process has registered since then. Scans task names only.
DELETE FROM task_name WHERE (app_id, name_id, engine_id, environment_id) IN (
  SELECT app_id, name_id, engine_id, environment_id FROM task_name WHERE seen_at < :before AND :app_id IN (-1, app_id) LIMIT :limit);

-- list_empty_counters --
-- Counters that count nothing. Scans counters only, without holding the writer.
SELECT app_id, environment_id, engine_id, queue_id, name_id, state FROM counter WHERE tasks = 0 LIMIT :limit;

-- delete_empty_counter --
-- One of them, if it still counts nothing. Index: the primary key.
DELETE FROM counter WHERE app_id = ? AND environment_id = ? AND engine_id = ? AND queue_id = ? AND name_id = ? AND state = ? AND tasks = 0;

-- read_used --
-- Bytes in use, and free pages; free pages are used again before the file grows.
SELECT (c.page_count - f.freelist_count) * s.page_size, f.freelist_count
FROM pragma_page_count AS c, pragma_freelist_count AS f, pragma_page_size AS s;

-- oldest_task --
-- When the oldest task came. Index: task_first.
SELECT min(first_at) FROM task;

-- return_page --
-- Give one free page back to the file system.
PRAGMA incremental_vacuum(1);
