-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_plan --
-- A plan whose items follow.
INSERT INTO plan (key, action, params, source, author, reason, status, undo_of, created_at)
VALUES (:key, :action, :params, :source, :author, :reason, 'freezing', :undo_of, :at) RETURNING id;

-- add_item --
-- One item of it.
INSERT INTO plan_item (plan_id, seq, task, task_id, state, number, kept) VALUES (?, ?, ?, ?, ?, ?, ?);

-- add_group --
-- Which agents have to execute which items.
INSERT INTO plan_group (plan_id, number, app_id, environment, engine, queue, name, items) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- freeze_plan --
-- From here on its items never change.
UPDATE plan SET status = 'frozen', digest = :digest, items = :items, excluded = :excluded, samples = :samples, load_us = :load_us
WHERE id = :id;

-- delete_plan --
-- A plan that could not be frozen completely, or was never executed.
DELETE FROM plan WHERE id = :id;

-- drop_freezing --
-- Left by a server that ended during freezing: none of its items was executed.
DELETE FROM plan WHERE status = 'freezing';

-- get_plan --
-- One plan.
SELECT id, key, action, params, source, author, reason, status, digest, items, excluded, samples, load_us, pace, note, undo_of,
  created_at, started_at, ended_at
FROM plan WHERE id = :id;

-- list_plans --
-- Newest first. Index: plan_created.
SELECT id, key, action, params, source, author, reason, status, digest, items, excluded, samples, load_us, pace, note, undo_of,
  created_at, started_at, ended_at
FROM plan WHERE created_at < :before AND status != 'freezing' ORDER BY created_at DESC LIMIT :limit;

-- list_running --
-- Plans that are being executed, or whose items were sent and have no result yet. Index: plan_status.
SELECT id FROM plan WHERE status = 'running' UNION SELECT plan_id FROM plan_count WHERE status = 1 AND items > 0 ORDER BY 1;

-- list_undoing --
-- The plans that undo something.
SELECT id, undo_of FROM plan WHERE undo_of = :undo_of AND status != 'freezing' ORDER BY id DESC LIMIT 1;

-- change_plan --
-- Its status, if it is still one of those expected.
UPDATE plan SET status = :status, note = :note, pace = coalesce(:pace, pace), started_at = coalesce(started_at, :started_at),
  ended_at = :ended_at
WHERE id = :id AND instr(:expected, ' ' || status || ' ') > 0 RETURNING id;

-- put_note --
-- Why it is stalled.
UPDATE plan SET note = :note WHERE id = :id AND note != :note;

-- list_groups --
-- Its split. Index: the primary key.
SELECT g.number, g.app_id, a.name, g.environment, g.engine, g.queue, g.name, g.items
FROM plan_group AS g LEFT JOIN app AS a ON a.id = g.app_id WHERE g.plan_id = :id ORDER BY g.items DESC, g.number;

-- list_counts --
-- Its account. Index: the primary key.
SELECT status, items FROM plan_count WHERE plan_id = :id;

-- add_to_count --
-- So many more, or fewer, of a status.
INSERT INTO plan_count (plan_id, status, items) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET items = items + excluded.items;

-- list_waiting --
-- The next items of a plan, but those of groups without an agent. Index: plan_item_waiting.
SELECT i.seq, i.task, i.task_id, i.number, t.state, t.original_key & 15, w.text, t.eta_at, t.sent
FROM plan_item AS i INDEXED BY plan_item_waiting LEFT JOIN task AS t ON t.id = i.task LEFT JOIN name AS w ON w.id = t.worker_id
WHERE i.plan_id = :id AND i.status = 0 AND i.number NOT IN (SELECT value FROM json_each(:without))
ORDER BY i.seq LIMIT :limit;

-- still_waiting --
-- Those of these items (:seqs, JSON) whose turn it still is: the plan was not stopped since they were listed.
SELECT i.seq FROM plan AS p JOIN plan_item AS i ON i.plan_id = p.id AND i.seq IN (SELECT value FROM json_each(:seqs))
WHERE p.id = :id AND p.status = 'running' AND i.status = 0;

-- list_sent --
-- Items that were sent and have no result yet. Index: plan_item_sent.
SELECT i.seq, i.task, i.task_id, i.number, i.spool, i.sent_at, w.text, t.eta_at, t.sent
FROM plan_item AS i INDEXED BY plan_item_sent LEFT JOIN task AS t ON t.id = i.task LEFT JOIN name AS w ON w.id = t.worker_id
WHERE i.plan_id = :id AND i.status = 1 ORDER BY i.seq;

-- list_overdue --
-- What was sent before a time and not answered. Index: plan_item_sent.
SELECT i.seq FROM plan_item AS i INDEXED BY plan_item_sent
WHERE i.plan_id = :id AND i.status = 1 AND i.sent_at < :before ORDER BY i.seq;

-- mark_sent --
-- Sent to an agent: from now on only its spool folder may receive it again.
UPDATE plan_item SET status = 1, spool = ?, sent_at = ? WHERE plan_id = ? AND seq = ? AND status = 0;

-- end_item --
-- The result of an item. Nothing follows an end but a result that an agent reports after "unknown".
UPDATE plan_item SET status = :status, ended_at = :at, detail = :detail
WHERE plan_id = :id AND seq = :seq AND (status < 2 OR (status = 7 AND :status != 7)) RETURNING seq;

-- status_of --
-- What is known of an item.
SELECT status FROM plan_item WHERE plan_id = :id AND seq = :seq;

-- abort_waiting --
-- The items whose turn never came.
UPDATE plan_item SET status = 8, ended_at = :at WHERE plan_id = :id AND status = 0;

-- find_key --
-- The plan an item's command belongs to, if the item is one of this app, sent to this folder where :spool is known.
SELECT p.id FROM plan AS p JOIN plan_item AS i ON i.plan_id = p.id AND i.seq = :seq
JOIN plan_group AS g ON g.plan_id = i.plan_id AND g.number = i.number
WHERE p.key = :key AND g.app_id = :app_id AND (:spool IS NULL OR i.spool = :spool);

-- list_items --
-- Items in order, of one status or of all. Index: the primary key.
SELECT i.seq, i.task, i.task_id, i.status, i.ended_at, coalesce(i.detail, ''), g.engine, g.queue, g.name
FROM plan_item AS i JOIN plan_group AS g ON g.plan_id = i.plan_id AND g.number = i.number
WHERE i.plan_id = :id AND i.seq > :after AND :status IN (-1, i.status) ORDER BY i.seq LIMIT :limit;

-- list_done --
-- The done items of a plan, in order, for an undo. Index: the primary key.
SELECT i.seq, i.task, i.task_id, i.state, g.app_id, g.environment, g.engine, g.queue, g.name
FROM plan_item AS i JOIN plan_group AS g ON g.plan_id = i.plan_id AND g.number = i.number
WHERE i.plan_id = :id AND i.status = 2 ORDER BY i.seq;

-- read_for_plan --
-- What freezing has to know of some tasks.
SELECT t.id, t.task_id, t.app_id, coalesce(v.text, ''), e.text, coalesce(q.text, ''), coalesce(n.text, ''), t.state,
  CASE WHEN t.original_key & 15 < 3 OR EXISTS (SELECT 1 FROM original AS o WHERE o.task = t.id) THEN t.original_key & 15 ELSE 0 END,
  EXISTS (SELECT 1 FROM task_link AS l WHERE l.app_id = t.app_id AND l.kind = 'retry_of' AND l.target = t.task_id),
  coalesce(t.args, ''), coalesce(t.error_type, '')
FROM json_each(:ids) AS wanted JOIN task AS t ON t.id = wanted.value
  LEFT JOIN name AS v ON v.id = t.environment_id LEFT JOIN name AS e ON e.id = t.engine_id
  LEFT JOIN name AS q ON q.id = t.queue_id LEFT JOIN name AS n ON n.id = t.name_id;

-- list_purged --
-- The tasks a purge took out, in the order they would have run. Index: task_queue.
SELECT t.id FROM task AS t JOIN name AS q ON q.id = t.queue_id JOIN name AS e ON e.id = t.engine_id
WHERE q.kind = 'queue' AND q.text = :queue AND e.text = :engine AND t.app_id = :app_id AND t.state = 8 AND t.reason = 'purged'
  AND t.state_at BETWEEN :first_at AND :last_at
ORDER BY t.state_at, t.id;

-- mean_runtimes --
-- Mean runtimes of what ended since an hour, by engine and name. Index: the primary key, from that hour on.
SELECT e.text, n.text, sum(r.ran_us) / sum(r.ran)
FROM rollup AS r JOIN series AS s ON s.id = r.series_id JOIN name AS e ON e.id = s.engine_id JOIN name AS n ON n.id = s.name_id
WHERE r.step = 1 AND r.at >= :since AND s.is_total = 0 GROUP BY e.text, n.text HAVING sum(r.ran) > 0;

-- outcome --
-- The state of a task by its id: how one that a canary made has ended. Index: task_identity.
SELECT state FROM task WHERE task_id = :task_id AND app_id = :app_id AND life = 0;

-- list_cancelled --
-- Cancellations of plans that were executed and whose task still waits. Index: plan_item_task.
SELECT p.key, i.seq, i.task_id, g.engine, g.environment, coalesce(b.text, '')
FROM task AS t JOIN plan_item AS i ON i.task = t.id JOIN plan AS p ON p.id = i.plan_id
  JOIN plan_group AS g ON g.plan_id = p.id AND g.number = i.number
  LEFT JOIN original AS o ON o.task = t.id LEFT JOIN name AS b ON b.id = o.broker_id AND b.text != '(others)'
WHERE t.app_id = :app_id AND t.cancel_asked_at > :since AND t.state IN (1, 2, 3, 5) AND p.action = 'cancel_task' AND i.status = 2
LIMIT 20000;

-- list_forgotten --
-- Plans of long ago. Index: plan_created.
SELECT id FROM plan WHERE created_at < :before AND status IN ('frozen', 'done', 'aborted');

-- forget_items --
-- Some items of one of them. Index: the primary key.
DELETE FROM plan_item WHERE plan_id = :id AND seq IN (SELECT seq FROM plan_item WHERE plan_id = :id ORDER BY seq LIMIT 200);

-- forget_plan --
-- The plan itself.
DELETE FROM plan WHERE id = :id;
