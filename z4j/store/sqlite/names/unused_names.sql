-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Names are interned and referred to by id; processes (boot) are referred to by id too. A test holds that every column which refers to
-- either is in these lists.
-- used_names --
-- Every id of a name that something refers to. What tasks are called, their queues, environments and engines are in the counters too,
-- which count every task. Reads whole tables, without holding the writer.
SELECT name_id FROM counter WHERE tasks != 0 UNION SELECT queue_id FROM counter WHERE tasks != 0
UNION SELECT environment_id FROM counter WHERE tasks != 0 UNION SELECT engine_id FROM counter WHERE tasks != 0
UNION SELECT worker_id FROM task WHERE worker_id != 0
UNION SELECT name_id FROM series UNION SELECT queue_id FROM series UNION SELECT environment_id FROM series
UNION SELECT engine_id FROM series UNION SELECT release_id FROM series
UNION SELECT worker_id FROM worker_rollup
UNION SELECT environment_id FROM queue_rollup UNION SELECT engine_id FROM queue_rollup UNION SELECT queue_id FROM queue_rollup
UNION SELECT broker_id FROM queue_rollup UNION SELECT counted_release_id FROM boot
UNION SELECT environment_id FROM queue_ledger UNION SELECT engine_id FROM queue_ledger UNION SELECT queue_id FROM queue_ledger
UNION SELECT worker_id FROM boot UNION SELECT environment_id FROM boot UNION SELECT release_id FROM boot
UNION SELECT worker_id FROM agent UNION SELECT environment_id FROM agent UNION SELECT release_id FROM agent
UNION SELECT environment_id FROM release_sight UNION SELECT release_id FROM release_sight
UNION SELECT environment_id FROM queue UNION SELECT engine_id FROM queue UNION SELECT queue_id FROM queue
UNION SELECT broker_id FROM queue
UNION SELECT engine_id FROM task_name UNION SELECT name_id FROM task_name UNION SELECT queue_id FROM task_name
UNION SELECT environment_id FROM task_name
UNION SELECT environment_id FROM error_place UNION SELECT engine_id FROM error_place UNION SELECT queue_id FROM error_place
UNION SELECT name_id FROM error_place UNION SELECT engine_id FROM log_run;

-- list_kept --
-- Deleted tasks that a plan can restore; their names are used inside.
SELECT kept FROM plan_item WHERE kept IS NOT NULL;

-- list_names --
-- Every id of a name.
SELECT id FROM name;

-- delete_name --
-- One name that nothing refers to.
DELETE FROM name WHERE id = ?;

-- used_by_runs --
-- The workers and processes that runs of some tasks refer to. Index: the primary key.
SELECT DISTINCT worker_id, boot_id FROM run WHERE task >= :first AND task < :last;

-- used_by_originals --
-- The brokers that originals of some tasks belong to. Index: the primary key.
SELECT DISTINCT broker_id FROM original WHERE task >= :first AND task < :last;

-- used_by_tasks --
-- The processes that some tasks refer to. Index: the primary key.
SELECT DISTINCT boot_id FROM task WHERE id >= :first AND id < :last;

-- used_by_log_lines --
-- The processes that wrote log lines. Walks log_run_boot, without holding the writer.
SELECT DISTINCT boot_id FROM log_run;

-- task_ids --
-- The lowest and the highest row id: two steps to the ends of the table.
SELECT (SELECT min(id) FROM task), (SELECT max(id) FROM task);

-- list_old_boots --
-- Processes that began before then, or never said when, and have no row among the agents.
SELECT b.id FROM boot AS b WHERE b.at < :before AND NOT EXISTS (SELECT 1 FROM agent AS a WHERE a.app_id = b.app_id AND a.boot = b.boot);

-- delete_boot --
-- One process that nothing refers to.
DELETE FROM boot WHERE id = ?;

-- count_sweepable --
-- How many names and processes there are.
SELECT (SELECT count(*) FROM name) + (SELECT count(*) FROM boot);
