-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_old --
-- The oldest tasks from before then that nothing more is expected of: ended, or not heard of since. Index: task_first.
SELECT id, app_id, environment_id, engine_id, queue_id, name_id, state FROM task
WHERE first_at < :before AND (state IN (6, 8, 9, 10, 11, 12) OR (last_at < :before AND state != 1))
ORDER BY first_at LIMIT :limit;

-- keep_newest --
-- The highest id there ever was, noted before it may be deleted. One step to the end of the table.
INSERT INTO setting (key, value) SELECT 'newest_task', max(id) FROM task WHERE true
ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER));

-- delete_task --
-- One task.
DELETE FROM task WHERE id = ?;

-- delete_runs --
-- Its runs. Index: the primary key.
DELETE FROM run WHERE task = ?;

-- delete_original --
-- Its original.
DELETE FROM original WHERE task = ?;

-- delete_links --
-- Its links. Index: task_link_task.
DELETE FROM task_link WHERE task = ?;

-- list_succeeded --
-- Succeeded tasks in the order they came, whose originals may go before they do. Index: task_state.
SELECT id, first_at FROM task WHERE state = 12 AND first_at >= :since AND first_at < :before
ORDER BY first_at LIMIT :limit;

-- read_swept --
-- How far the originals of succeeded tasks were deleted.
SELECT CAST(value AS INTEGER) FROM setting WHERE key = 'originals_swept_to';

-- put_swept --
-- The same, noted.
INSERT INTO setting (key, value) VALUES ('originals_swept_to', :at) ON CONFLICT DO UPDATE SET value = excluded.value;

-- delete_minutes --
-- What ended per minute, before then. Index: the primary key.
DELETE FROM minute WHERE minute < :before;

-- delete_gaps --
-- Gaps told before then. Index: gap_at.
DELETE FROM gap WHERE at < :before;

-- delete_faults --
-- Faults told before then. Index: fault_at.
DELETE FROM fault WHERE at < :before;

-- delete_agents --
-- Processes that left before then. Index: agent_seen.
DELETE FROM agent WHERE seen_at < :before AND left_at IS NOT NULL;

-- delete_empty_counters --
-- Counters that count nothing any more. Scans counters only.
DELETE FROM counter WHERE tasks = 0;

-- read_used --
-- Bytes in use; free pages are used again before the file grows.
SELECT (c.page_count - f.freelist_count) * s.page_size, f.freelist_count
FROM pragma_page_count AS c, pragma_freelist_count AS f, pragma_page_size AS s;

-- return_page --
-- Give one free page back to the file system.
PRAGMA incremental_vacuum(1);
