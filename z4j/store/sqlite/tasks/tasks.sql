-- SPDX-License-Identifier: AGPL-3.0-or-later
-- A walk looks at the tasks along one index, beginning beside (:at, :id), and says of each whether it matches all conditions. The caller
-- takes rows until the page is full or its time is up, see task_search.py. A list of ids or of patterns is JSON, NULL where there is no
-- such condition; `…_in` is 0 where it lists what a task must not have.

-- part_attempt --
-- The number of the attempt that decides the state, from 0 on (rules/tasks/fold.py).
((t.state_key >> 47) & 4095)

-- part_waited --
-- How long a task waited to be started or, while it waits, has waited, in microseconds. As tasks.py computes it for the page.
max(0, CASE WHEN t.start_attempt = {part_attempt} THEN t.started_at WHEN t.state IN (2, 3) THEN :now END - coalesce(
    nullif(max(CASE WHEN {part_attempt} = 0 THEN coalesce(t.enqueued_at, 0) ELSE 0 END,
      CASE WHEN t.eta_attempt = {part_attempt} THEN coalesce(t.eta_at, 0) ELSE 0 END), 0),
    CASE WHEN t.received_attempt = {part_attempt} THEN t.received_at END))

-- part_ran --
-- How long it ran or, while it runs, has run.
coalesce(t.runtime_us, CASE WHEN t.state = 4 AND t.start_attempt = {part_attempt} THEN max(0, :now - t.started_at) END)

-- part_has_failed_by --
-- Whether a failure says by what a task has failed: of a task that failed, what ended it; of another one, each of its failed attempts.
(e.kind = 0 OR t.state NOT IN (6, 10, 11))

-- part_matches --
-- Whether a task matches the conditions. `…_id` is the one id there is, or that of the stretch of an index that is walked, else -1.
(:states >> t.state) & 1
  AND CASE WHEN :name_ids IS NULL THEN 1 WHEN :name_id >= 0 THEN t.name_id = :name_id
    ELSE (t.name_id IN (SELECT value FROM json_each(:name_ids))) = :name_in END
  AND CASE WHEN :queue_ids IS NULL THEN 1 WHEN :queue_id >= 0 THEN t.queue_id = :queue_id
    ELSE (t.queue_id IN (SELECT value FROM json_each(:queue_ids))) = :queue_in END
  AND CASE WHEN :engine_ids IS NULL THEN 1 WHEN :engine_id >= 0 THEN t.engine_id = :engine_id
    ELSE (t.engine_id IN (SELECT value FROM json_each(:engine_ids))) = :engine_in END
  AND CASE WHEN :app_ids IS NULL THEN 1 WHEN :app_id >= 0 THEN t.app_id = :app_id
    ELSE (t.app_id IN (SELECT value FROM json_each(:app_ids))) = :app_in END
  AND CASE WHEN :environment_ids IS NULL THEN 1 WHEN :environment_id >= 0 THEN t.environment_id = :environment_id
    ELSE (t.environment_id IN (SELECT value FROM json_each(:environment_ids))) = :environment_in END
  AND CASE WHEN :worker_ids IS NULL THEN 1 WHEN :worker_id >= 0 THEN t.worker_id = :worker_id
    ELSE (t.worker_id IN (SELECT value FROM json_each(:worker_ids))) = :worker_in END
  AND (:is_simple OR (
    (:release_ids IS NULL OR (coalesce((SELECT b.release_id FROM boot AS b WHERE b.id = t.boot_id), 0)
      IN (SELECT value FROM json_each(:release_ids))) = :release_in)
    AND (:errors IS NULL OR EXISTS (SELECT 1 FROM json_each(:errors) AS p WHERE t.error_type GLOB p.value))
    AND (:not_errors IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(:not_errors) AS p WHERE t.error_type GLOB p.value))
    AND (:labels IS NULL OR EXISTS (SELECT 1 FROM json_each(:labels) AS p WHERE t.label GLOB p.value))
    AND (:not_labels IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(:not_labels) AS p WHERE t.label GLOB p.value))
    AND (:routes IS NULL OR EXISTS (SELECT 1 FROM json_each(:routes) AS p WHERE t.sent ->> 5 GLOB p.value))
    AND (:not_routes IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(:not_routes) AS p WHERE t.sent ->> 5 GLOB p.value))
    AND (:callers IS NULL OR EXISTS (SELECT 1 FROM json_each(:callers) AS p WHERE t.sent ->> 4 GLOB p.value))
    AND (:not_callers IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(:not_callers) AS p WHERE t.sent ->> 4 GLOB p.value))
    AND (:enqueued IS NULL OR (t.enqueued_at IS NOT NULL) = :enqueued)
    AND (:waited_min IS NULL OR {part_waited} BETWEEN :waited_min AND :waited_max)
    AND (:ran_min IS NULL OR {part_ran} BETWEEN :ran_min AND :ran_max)
    AND {part_attempt} BETWEEN :attempt_min AND :attempt_max
    AND (:error_groups IS NULL OR EXISTS (
      SELECT 1 FROM error_task AS e JOIN error_fingerprint AS f ON f.id = e.fingerprint WHERE e.task = t.id
      AND f.error_group IN (SELECT value FROM json_each(:error_groups)) AND {part_has_failed_by}))
    AND (:not_error_groups IS NULL OR NOT EXISTS (
      SELECT 1 FROM error_task AS e JOIN error_fingerprint AS f ON f.id = e.fingerprint WHERE e.task = t.id
      AND f.error_group IN (SELECT value FROM json_each(:not_error_groups)) AND {part_has_failed_by}))
    AND (:since IS NULL OR t.first_at >= :since) AND (:until IS NULL OR t.first_at < :until)))

-- part_order --
-- What a result is ordered by, where that is a duration.
CASE :order WHEN 'ran' THEN {part_ran} WHEN 'waited' THEN {part_waited} END

-- part_bad_end --
-- Ended in a state of task_search.BAD_ENDS. The condition of the indexes task_bad_name, task_bad_queue and task_bad_worker.
t.state > 5 AND t.state < 12

-- part_counted --
-- Whether a counter matches the conditions that counters have.
(:states >> state) & 1
  AND (:name_ids IS NULL OR (name_id IN (SELECT value FROM json_each(:name_ids))) = :name_in)
  AND (:queue_ids IS NULL OR (queue_id IN (SELECT value FROM json_each(:queue_ids))) = :queue_in)
  AND (:engine_ids IS NULL OR (engine_id IN (SELECT value FROM json_each(:engine_ids))) = :engine_in)
  AND (:app_ids IS NULL OR (app_id IN (SELECT value FROM json_each(:app_ids))) = :app_in)
  AND (:environment_ids IS NULL OR (environment_id IN (SELECT value FROM json_each(:environment_ids))) = :environment_in)

-- walk_first_older --
-- Older tasks. Index: task_first.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_first
WHERE (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_first_newer --
-- Newer tasks. Index: task_first.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_first
WHERE (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_state_older --
-- Older tasks of one state. Index: task_state.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_state
WHERE t.state = :state AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_state_newer --
-- Newer tasks of one state. Index: task_state.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_state
WHERE t.state = :state AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_name_older --
-- Older tasks of one name. Index: task_named.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_named
WHERE t.name_id = :name_id AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_name_newer --
-- Newer tasks of one name. Index: task_named.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_named
WHERE t.name_id = :name_id AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_queue_older --
-- Older tasks of one queue. Index: task_queue.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_queue
WHERE t.queue_id = :queue_id AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_queue_newer --
-- Newer tasks of one queue. Index: task_queue.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_queue
WHERE t.queue_id = :queue_id AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_worker_older --
-- Older tasks of one worker. Index: task_worker.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_worker
WHERE t.worker_id = :worker_id AND t.worker_id != 0 AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_worker_newer --
-- Newer tasks of one worker. Index: task_worker.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_worker
WHERE t.worker_id = :worker_id AND t.worker_id != 0 AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_bad_name_older --
-- Older tasks of one name that ended in a state of task_search.BAD_ENDS. Index: task_bad_name.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_bad_name
WHERE t.name_id = :name_id AND {part_bad_end}
  AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_bad_name_newer --
-- Newer tasks of one name that ended in a state of task_search.BAD_ENDS. Index: task_bad_name.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_bad_name
WHERE t.name_id = :name_id AND {part_bad_end}
  AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_bad_queue_older --
-- Older tasks of one queue that ended in a state of task_search.BAD_ENDS. Index: task_bad_queue.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_bad_queue
WHERE t.queue_id = :queue_id AND {part_bad_end}
  AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_bad_queue_newer --
-- Newer tasks of one queue that ended in a state of task_search.BAD_ENDS. Index: task_bad_queue.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_bad_queue
WHERE t.queue_id = :queue_id AND {part_bad_end}
  AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_bad_worker_older --
-- Older tasks of one worker that ended in a state of task_search.BAD_ENDS. Index: task_bad_worker.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_bad_worker
WHERE t.worker_id = :worker_id AND {part_bad_end} AND t.worker_id != 0
  AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_bad_worker_newer --
-- Newer tasks of one worker that ended in a state of task_search.BAD_ENDS. Index: task_bad_worker.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_bad_worker
WHERE t.worker_id = :worker_id AND {part_bad_end} AND t.worker_id != 0
  AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_label_older --
-- Older tasks of one label. Index: task_label.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_label
WHERE t.label = :label AND (t.first_at, t.id) < (:at, :id) AND t.first_at >= :bound
ORDER BY t.first_at DESC, t.id DESC;

-- walk_label_newer --
-- Newer tasks of one label. Index: task_label.
SELECT t.id, t.first_at, {part_matches}, {part_order}
FROM task AS t INDEXED BY task_label
WHERE t.label = :label AND (t.first_at, t.id) > (:at, :id) AND t.first_at < :bound
ORDER BY t.first_at ASC, t.id ASC;

-- walk_error_group_older --
-- Tasks with failures of one fingerprint and kind from before a time; of several failures of a task by the fingerprints that are searched the
-- last one. Index: error_task_newest; of each task the primary keys.
SELECT e.task, e.at, {part_has_failed_by} AND (e.kind = 0 OR NOT EXISTS (
    SELECT 1 FROM error_task AS o WHERE o.task = e.task AND o.fingerprint IN (SELECT value FROM json_each(:fingerprints))
    AND (o.at, o.kind, o.fingerprint) > (e.at, e.kind, e.fingerprint))) AND {part_matches}, {part_order}
FROM error_task AS e INDEXED BY error_task_newest CROSS JOIN task AS t ON t.id = e.task
WHERE e.fingerprint = :fingerprint AND e.kind = :kind AND (e.at, e.task) < (:at, :id)
ORDER BY e.at DESC, e.task DESC;

-- walk_error_group_newer --
-- The same from after a time.
SELECT e.task, e.at, {part_has_failed_by} AND (e.kind = 0 OR NOT EXISTS (
    SELECT 1 FROM error_task AS o WHERE o.task = e.task AND o.fingerprint IN (SELECT value FROM json_each(:fingerprints))
    AND (o.at, o.kind, o.fingerprint) > (e.at, e.kind, e.fingerprint))) AND {part_matches}, {part_order}
FROM error_task AS e INDEXED BY error_task_newest CROSS JOIN task AS t ON t.id = e.task
WHERE e.fingerprint = :fingerprint AND e.kind = :kind AND (e.at, e.task) > (:at, :id)
ORDER BY e.at ASC, e.task ASC;

-- walk_words_older --
-- Older tasks of a day that have some words, by row id. `search_day` is replaced by the table of the day, see search/word_index.sql. Index:
-- that of the words, and the primary key. A task that was deleted has no row, and one whose day changed is in the table of that day too.
SELECT s.rowid, coalesce(t.first_at, :day * 86400000000), t.first_at / 86400000000 = :day AND {part_matches}, {part_order}
FROM search_day AS s LEFT JOIN task AS t ON t.id = s.rowid
WHERE search_day MATCH :match AND s.rowid < :id ORDER BY s.rowid DESC;

-- walk_words_newer --
-- Newer ones.
SELECT s.rowid, coalesce(t.first_at, :day * 86400000000), t.first_at / 86400000000 = :day AND {part_matches}, {part_order}
FROM search_day AS s LEFT JOIN task AS t ON t.id = s.rowid
WHERE search_day MATCH :match AND s.rowid > :id ORDER BY s.rowid ASC;

-- weigh --
-- How many tasks each condition alone leaves, and all of them together: which index is the narrowest. Scans counters only.
SELECT coalesce(sum(tasks) FILTER (WHERE (:states >> state) & 1), 0),
  coalesce(sum(tasks) FILTER (WHERE (name_id IN (SELECT value FROM json_each(:name_ids))) = :name_in), 0),
  coalesce(sum(tasks) FILTER (WHERE (queue_id IN (SELECT value FROM json_each(:queue_ids))) = :queue_in), 0),
  coalesce(sum(tasks) FILTER (WHERE {part_counted}), 0)
FROM counter;

-- read_texts --
-- What a text condition looks at. Index: the primary key.
SELECT (SELECT json_group_array(json_array(m.fields, m.ids)) FROM run_note AS m WHERE m.task = t.id),
  n.text, t.args, t.result, t.error_type, t.error, t.label
FROM task AS t LEFT JOIN name AS n ON n.id = t.name_id WHERE t.id = :id;

-- read_tasks --
-- The rows of a page by their ids. Index: the primary key.
SELECT t.id, a.name, e.text, g.text, t.task_id, n.text, q.text, w.text, t.state_key, t.reason, t.first_at, t.last_at,
  t.enqueued_at, t.eta_attempt, t.eta_at, t.received_attempt, t.received_at, t.start_attempt, t.started_at, t.state_at,
  t.runtime_us, t.args, t.result, t.error_type, t.error, t.cancel_asked_at, r.text, t.flags, t.label, t.original_key,
  t.is_masked, t.sent, t.app_id, b.boot, t.pid, b.host, t.usage
FROM json_each(:ids) AS j CROSS JOIN task AS t ON t.id = j.value
  LEFT JOIN app AS a ON a.id = t.app_id
  LEFT JOIN name AS e ON e.id = t.environment_id
  LEFT JOIN name AS g ON g.id = t.engine_id
  LEFT JOIN name AS n ON n.id = t.name_id
  LEFT JOIN name AS q ON q.id = t.queue_id
  LEFT JOIN name AS w ON w.id = t.worker_id
  LEFT JOIN boot AS b ON b.id = t.boot_id
  LEFT JOIN name AS r ON r.id = b.release_id
ORDER BY j.key;

-- find_by_task_id --
-- Every task that bears a task id, in whatever app and engine. Index: task_identity.
SELECT t.id, t.first_at, {part_matches}
FROM task AS t WHERE t.task_id = :task_id ORDER BY t.first_at DESC, t.id DESC LIMIT :chunk;

-- find_other --
-- Another task of an app and engine by its id, of one that came again its newest life. Index: task_identity.
SELECT t.id, n.text, t.state FROM task AS t LEFT JOIN name AS n ON n.id = t.name_id
WHERE t.task_id = :task_id AND t.app_id = :app_id AND t.engine_id = (SELECT id FROM name WHERE kind = 'engine' AND text = :engine)
ORDER BY t.life LIMIT 1;

-- list_targets --
-- The tasks this one points at: its parent, the task it retries. Of an id that came again the execution of that time: the newest if it had
-- begun, else the one before it in the same engine. Index: task_link_task, task_identity.
SELECT l.kind, l.target, t.id, n.text, t.state
FROM task_link AS l JOIN task AS o ON o.id = l.task LEFT JOIN task AS t ON t.id = coalesce(
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id AND p.engine_id = o.engine_id AND p.life = 0
      AND p.first_at <= o.first_at),
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id AND p.engine_id = o.engine_id AND p.life > 0
      AND p.first_at <= o.first_at ORDER BY p.life DESC LIMIT 1),
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id ORDER BY p.engine_id, p.life LIMIT 1))
  LEFT JOIN name AS n ON n.id = t.name_id
WHERE l.task = :id ORDER BY l.kind, t.id;

-- list_sources --
-- The tasks that point at this one: children, retries; not those that began in a later life of its id. Index: the primary key of task_link.
SELECT l.kind, t.task_id, t.id, n.text, t.state
FROM task_link AS l JOIN task AS t ON t.id = l.task LEFT JOIN name AS n ON n.id = t.name_id
WHERE l.app_id = :app_id AND l.kind IN ('parent', 'retry_of') AND l.target = :target
  AND (:since < 0 OR (t.first_at >= :since AND t.first_at < :until)) ORDER BY t.id LIMIT 200;

-- list_dependents --
-- The tasks of its engine that wait for this one; not those of a later life of its id. Index: the primary key of task_relation.
SELECT t.task_id, t.id, n.text, t.state
FROM task_relation AS r JOIN task AS t ON t.id = r.task LEFT JOIN name AS n ON n.id = t.name_id
WHERE r.app_id = :app_id AND r.kind = 'depends_on' AND r.target = :target
  AND t.engine_id = (SELECT o.engine_id FROM task AS o WHERE o.id = :id)
  AND (:since < 0 OR (t.first_at >= :since AND t.first_at < :until)) ORDER BY t.id LIMIT 200;

-- find_app --
-- The id of an app by its name.
SELECT id FROM app WHERE name = :name;
