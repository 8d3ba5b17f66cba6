-- SPDX-License-Identifier: AGPL-3.0-or-later
-- put_fire --
-- What a scheduler's process reported of a due time; a later report of the same process replaces it.
INSERT INTO fire (schedule_id, due_at, boot, fired_at, outcome, is_late, is_double, task_id, error)
VALUES (:schedule_id, :due_at, :boot, :fired_at, :outcome, :is_late, :is_double, :task_id, :error)
ON CONFLICT (schedule_id, due_at, boot) DO UPDATE SET outcome = excluded.outcome, error = excluded.error,
  task_id = CASE WHEN excluded.task_id = '' THEN task_id ELSE excluded.task_id END;

-- find_other --
-- Another process that fired the same within less than a period, whatever came of it, and its connection. Index: the unique one.
SELECT f.boot, f.due_at, a.left_at IS NULL AND a.id IS NOT NULL FROM fire AS f LEFT JOIN agent AS a ON a.app_id = :app_id AND a.boot = f.boot
WHERE f.schedule_id = :schedule_id AND f.due_at > :after AND f.due_at < :before AND f.boot NOT IN ('', :boot) AND f.fired_at IS NOT NULL LIMIT 1;

-- drop_missed --
-- It was reported after all, only later. Index: the unique one.
DELETE FROM fire WHERE schedule_id = :schedule_id AND boot = '' AND outcome = 'missed' AND due_at > :after AND due_at < :before;

-- put_missed --
-- No run was reported, or the scheduler skipped it. A run that was sent keeps its outcome.
INSERT INTO fire (schedule_id, due_at, outcome, error) VALUES (:schedule_id, :due_at, 'missed', :error) ON CONFLICT DO NOTHING;

-- add_own --
-- A due time of z4j's own is decided, once.
INSERT INTO fire (schedule_id, due_at, fired_at, outcome, task_id, error, spool, expires_at)
VALUES (:schedule_id, :due_at, :fired_at, :outcome, :task_id, :error, :spool, :expires_at) ON CONFLICT DO NOTHING RETURNING id;

-- list_open --
-- Own fires that wait for an agent of this app, or for its answer, in order of their due times. Index: fire_open.
SELECT f.id, f.schedule_id, f.due_at, f.outcome, f.task_id, coalesce(f.spool, ''), f.expires_at, s.environment, s.engine, s.task_name, s.args,
  s.kwargs, s.queue, s.catch_up, s.broker, s.app_id, s.key, s.sealed FROM fire AS f JOIN schedule AS s ON s.id = f.schedule_id
WHERE f.outcome IN ('waiting', 'handed') AND s.app_id = :app_id ORDER BY f.due_at LIMIT :limit;

-- mark_sent --
-- From now on only this spool folder may see them again. Gives those of :task_ids (JSON) that no other has and that have not ended. Index: fire_task.
UPDATE fire SET outcome = 'handed', spool = :spool, fired_at = coalesce(fired_at, :at), expires_at = :expires_at
WHERE task_id IN (SELECT value FROM json_each(:task_ids)) AND task_id != '' AND outcome = 'waiting' RETURNING task_id;

-- supersede --
-- Of a schedule that catches up once, an older one that still waits is replaced by the newer. Index: the unique one.
UPDATE fire SET outcome = 'missed', error = :error
WHERE schedule_id = :schedule_id AND boot = '' AND outcome = 'waiting' AND due_at < :due_at;

-- finish_own --
-- The result from an agent of its app, and of the folder it was sent to where :spool is known. After "unknown" an agent's own answer
-- still counts. Index: fire_task.
UPDATE fire SET outcome = :outcome, error = :error
WHERE task_id = :task_id AND task_id != '' AND (:spool IS NULL OR spool = :spool)
  AND (outcome IN ('waiting', 'handed') OR (outcome = 'unknown' AND :outcome != 'unknown'))
  AND schedule_id IN (SELECT id FROM schedule WHERE id = fire.schedule_id AND app_id = :app_id) RETURNING schedule_id;

-- expire_own --
-- No agent executed or answered it in time. Index: fire_open.
UPDATE fire SET outcome = CASE outcome WHEN 'waiting' THEN 'missed' ELSE 'unknown' END, error = CASE outcome WHEN 'waiting'
  THEN 'no agent that could run it was connected in time' ELSE 'it was sent to an agent, which did not respond' END
WHERE outcome IN ('waiting', 'handed') AND expires_at < :at RETURNING schedule_id;

-- list_fires --
-- Of one schedule, newest due first. Index: the unique one.
SELECT id, schedule_id, due_at, boot, fired_at, outcome, is_late, is_double, task_id, error FROM fire
WHERE schedule_id = :schedule_id AND due_at < :before ORDER BY due_at DESC, id DESC LIMIT :limit;

-- list_latest --
-- At least the last few of every schedule. Index: the unique one, two searches for each schedule.
SELECT f.schedule_id, f.due_at, f.fired_at, f.outcome, f.is_late, f.is_double, f.task_id, f.error
FROM schedule AS s CROSS JOIN fire AS f ON f.schedule_id = s.id AND f.due_at >= coalesce(
  (SELECT x.due_at FROM fire AS x WHERE x.schedule_id = s.id ORDER BY x.due_at DESC LIMIT 1 OFFSET :each - 1), 0)
WHERE s.gone_at IS NULL ORDER BY f.schedule_id, f.due_at DESC, f.id DESC;

-- last_task --
-- The task of the newest fire before a due time. Index: the unique one.
SELECT task_id, outcome FROM fire WHERE schedule_id = :schedule_id AND due_at < :due_at AND task_id != '' ORDER BY due_at DESC LIMIT 1;

-- task_state --
-- The state of a task, of its newest life. Index: task_identity.
SELECT t.state FROM task AS t JOIN name AS g ON g.id = t.engine_id WHERE t.task_id = :task_id AND t.app_id = :app_id AND g.text = :engine AND t.life = 0;

-- schedule_of_task --
-- Which schedule made a task, of the app's schedules. Index: fire_task.
SELECT f.schedule_id, s.name, f.due_at FROM fire AS f JOIN schedule AS s ON s.id = f.schedule_id
WHERE f.task_id = :task_id AND f.task_id != '' AND s.app_id = :app_id LIMIT 1;

-- delete_old --
-- Retention, a slice at a time. Index: fire_due.
DELETE FROM fire WHERE id IN (SELECT id FROM fire WHERE due_at < :before AND outcome NOT IN ('waiting', 'handed') ORDER BY due_at LIMIT :limit);

-- tick_of --
-- How long a scheduler's process sleeps. Index: the primary key.
SELECT tick_us FROM scheduler WHERE app_id = :app_id AND scheduler = :scheduler AND boot = :boot;
