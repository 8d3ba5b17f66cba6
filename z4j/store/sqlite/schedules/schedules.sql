-- SPDX-License-Identifier: AGPL-3.0-or-later
-- put_scheduler --
-- A process reported its scheduler.
INSERT INTO scheduler (app_id, scheduler, boot, environment, engine, store, is_firing, tick_us, timezone, can_create, applied, failed, notes,
  is_cut, seen_at)
VALUES (:app_id, :scheduler, :boot, :environment, :engine, :store, :is_firing, :tick_us, :timezone, :can_create, :applied, :failed, :notes,
  :is_cut, :at)
ON CONFLICT DO UPDATE SET environment = excluded.environment, engine = excluded.engine, store = excluded.store,
  is_firing = excluded.is_firing, tick_us = excluded.tick_us, timezone = excluded.timezone, can_create = excluded.can_create,
  applied = excluded.applied, failed = excluded.failed, notes = excluded.notes, is_cut = excluded.is_cut, seen_at = excluded.seen_at;

-- list_schedulers --
-- Processes that reported a scheduler, the connected ones first, then the latest. Index: the primary key of agent.
SELECT s.app_id, p.name, s.scheduler, s.boot, s.environment, s.engine, s.store, s.is_firing, s.tick_us, s.timezone, s.can_create, s.applied,
  s.failed, s.notes, s.is_cut, s.seen_at, coalesce(w.text, ''), coalesce(a.host, ''),
  CASE WHEN a.id IS NULL THEN s.seen_at ELSE a.left_at END
FROM scheduler AS s JOIN app AS p ON p.id = s.app_id LEFT JOIN agent AS a ON a.app_id = s.app_id AND a.boot = s.boot
  LEFT JOIN name AS w ON w.id = a.worker_id
ORDER BY a.left_at IS NOT NULL, s.seen_at DESC;

-- delete_old_schedulers --
-- Reports of processes that ended long ago, as far as a newer one of the same scheduler has reported since.
DELETE FROM scheduler WHERE seen_at < :before AND EXISTS (
  SELECT 1 FROM scheduler AS s WHERE s.app_id = scheduler.app_id AND s.scheduler = scheduler.scheduler
    AND s.environment = scheduler.environment AND s.is_firing >= scheduler.is_firing AND s.seen_at > scheduler.seen_at);

-- put_listed --
-- An entry as its scheduler holds it now. What only z4j knows of it stays. A due time that was fired already is one of an entry read before
-- that fire: what follows from the fire stays. Index: fire's unique one.
INSERT INTO schedule (app_id, environment, scheduler, key, engine, name, kind, expression, timezone, task_name, args, kwargs, queue,
  priority, is_enabled, is_code, unable, note, anchor, next_at, last_at, seen_by, seen_at)
VALUES (:app_id, :environment, :scheduler, :key, :engine, :name, :kind, :expression, :timezone, :task_name, :args, :kwargs, :queue,
  :priority, :is_enabled, :is_code, :unable, :note, coalesce(:next_at, 0), :next_at, :last_at, :boot, :at)
ON CONFLICT (app_id, environment, scheduler, key) DO UPDATE SET engine = excluded.engine, name = excluded.name, kind = excluded.kind,
  expression = excluded.expression, timezone = excluded.timezone, task_name = excluded.task_name, args = excluded.args,
  kwargs = excluded.kwargs, queue = excluded.queue, priority = excluded.priority, is_enabled = excluded.is_enabled,
  is_code = excluded.is_code, unable = excluded.unable, note = excluded.note,
  anchor = coalesce(excluded.next_at, anchor),
  next_at = CASE WHEN EXISTS (
      SELECT 1 FROM fire AS f WHERE f.schedule_id = schedule.id AND f.due_at BETWEEN excluded.next_at AND :at AND f.outcome = 'sent')
    THEN schedule.next_at ELSE excluded.next_at END,
  last_at = max(coalesce(last_at, excluded.last_at), coalesce(excluded.last_at, last_at)), seen_by = excluded.seen_by,
  seen_at = excluded.seen_at, gone_at = NULL;

-- mark_gone --
-- Schedules that this process no longer reports, or that no process has reported for a while.
UPDATE schedule SET gone_at = :at, next_at = NULL
WHERE app_id = :app_id AND environment = :environment AND scheduler = :scheduler AND gone_at IS NULL AND seen_at < :at
  AND (seen_by = :boot OR seen_at < :at - 60000000);

-- put_unlisted --
-- An entry that fired before it was listed: what it is comes with the list.
INSERT INTO schedule (app_id, environment, scheduler, key, engine, name, kind, expression, timezone, task_name, seen_at)
VALUES (:app_id, :environment, :scheduler, :key, '', :key, 'other', '', '', '', :at) ON CONFLICT DO NOTHING;

-- find_schedule --
-- By what its scheduler calls it. Index: the unique one.
SELECT id, kind, expression, timezone, anchor, next_at, scheduler FROM schedule
WHERE app_id = :app_id AND environment = :environment AND scheduler = :scheduler AND key = :key;

-- put_fired --
-- It fired: when it is due next, as far as that can be reckoned before the next list comes.
UPDATE schedule SET last_at = max(coalesce(last_at, :at), :at), anchor = max(anchor, :due_at),
  next_at = CASE WHEN next_at IS NULL OR next_at <= :due_at THEN :next_at ELSE next_at END WHERE id = :id;

-- list_schedules --
-- Every schedule that is there, those due next first; a table of hundreds, not of millions.
SELECT s.id, s.app_id, p.name, s.environment, s.scheduler, s.key, s.engine, s.name, s.kind, s.expression, s.timezone, s.task_name, s.args,
  s.kwargs, s.queue, s.priority, s.is_enabled, s.is_code, s.unable, s.note, s.catch_up, s.overlap, s.jitter_us, s.starts_at, s.ends_at,
  s.anchor, s.next_at, s.last_at, s.seen_by, s.seen_at, s.gone_at, o.key IS NOT NULL, s.broker
FROM schedule AS s JOIN app AS p ON p.id = s.app_id
  LEFT JOIN override AS o ON o.app_id = s.app_id AND o.environment = s.environment AND o.scheduler = s.scheduler AND o.key = s.key
WHERE s.gone_at IS NULL ORDER BY s.next_at IS NULL, s.next_at, s.name LIMIT :limit;

-- list_of_task --
-- The same of those that create tasks of one name.
SELECT s.id, s.app_id, p.name, s.environment, s.scheduler, s.key, s.engine, s.name, s.kind, s.expression, s.timezone, s.task_name, s.args,
  s.kwargs, s.queue, s.priority, s.is_enabled, s.is_code, s.unable, s.note, s.catch_up, s.overlap, s.jitter_us, s.starts_at, s.ends_at,
  s.anchor, s.next_at, s.last_at, s.seen_by, s.seen_at, s.gone_at, o.key IS NOT NULL, s.broker
FROM schedule AS s JOIN app AS p ON p.id = s.app_id
  LEFT JOIN override AS o ON o.app_id = s.app_id AND o.environment = s.environment AND o.scheduler = s.scheduler AND o.key = s.key
WHERE s.task_name = :name AND s.gone_at IS NULL ORDER BY s.next_at IS NULL, s.next_at, s.name LIMIT :limit;

-- get_schedule --
-- One schedule, also one that is gone. Index: the primary key.
SELECT s.id, s.app_id, p.name, s.environment, s.scheduler, s.key, s.engine, s.name, s.kind, s.expression, s.timezone, s.task_name, s.args,
  s.kwargs, s.queue, s.priority, s.is_enabled, s.is_code, s.unable, s.note, s.catch_up, s.overlap, s.jitter_us, s.starts_at, s.ends_at,
  s.anchor, s.next_at, s.last_at, s.seen_by, s.seen_at, s.gone_at, o.key IS NOT NULL, s.broker
FROM schedule AS s JOIN app AS p ON p.id = s.app_id
  LEFT JOIN override AS o ON o.app_id = s.app_id AND o.environment = s.environment AND o.scheduler = s.scheduler AND o.key = s.key
WHERE s.id = :id;

-- list_overdue --
-- Schedules of other schedulers that are past their time. Index: schedule_next.
SELECT id, app_id, environment, scheduler, kind, expression, timezone, anchor, next_at FROM schedule
WHERE next_at < :before AND scheduler != 'z4j' AND is_enabled = 1 AND gone_at IS NULL ORDER BY next_at LIMIT :limit;

-- move_next --
-- Due next at another time.
UPDATE schedule SET next_at = :next_at WHERE id = :id;

-- add_own --
-- A schedule of z4j's own.
INSERT INTO schedule (app_id, environment, scheduler, key, engine, name, kind, expression, timezone, task_name, args, kwargs, queue,
  is_enabled, note, catch_up, overlap, jitter_us, starts_at, ends_at, anchor, next_at, wake_at, seen_at, sealed, broker)
VALUES (:app_id, :environment, 'z4j', :key, :engine, :name, :kind, :expression, :timezone, :task_name, :args, :kwargs, :queue,
  :is_enabled, '', :catch_up, :overlap, :jitter_us, :starts_at, :ends_at, :anchor, :next_at, :wake_at, :at, :sealed, :broker) RETURNING id;

-- sealed_of --
-- The whole arguments of an own schedule, encrypted.
SELECT app_id, key, args, kwargs, sealed FROM schedule WHERE id = :id;

-- change_own --
-- A schedule of z4j's own becomes another.
UPDATE schedule SET environment = :environment, engine = :engine, name = :name, kind = :kind, expression = :expression,
  timezone = :timezone, task_name = :task_name, args = :args, kwargs = :kwargs, queue = :queue, is_enabled = :is_enabled,
  catch_up = :catch_up, overlap = :overlap, jitter_us = :jitter_us, starts_at = :starts_at, ends_at = :ends_at, anchor = :anchor,
  next_at = :next_at, wake_at = :wake_at, seen_at = :at, sealed = :sealed, broker = :broker
WHERE id = :id AND scheduler = 'z4j';

-- switch_own --
-- A schedule of z4j's own is enabled or disabled.
UPDATE schedule SET is_enabled = :is_enabled, next_at = :next_at, wake_at = :wake_at, seen_at = :at WHERE id = :id AND scheduler = 'z4j';

-- delete_own --
-- With its fires.
DELETE FROM schedule WHERE id = :id AND scheduler = 'z4j';

-- list_due --
-- Own schedules whose time has come, in order of their due times. Index: schedule_wake.
SELECT id, app_id, environment, engine, name, kind, expression, timezone, task_name, args, kwargs, queue, catch_up, overlap, jitter_us,
  starts_at, ends_at, anchor, next_at, broker, key, sealed FROM schedule WHERE wake_at <= :at ORDER BY wake_at LIMIT :limit;

-- next_wake --
-- When the next own schedule is due. Index: schedule_wake.
SELECT min(wake_at) FROM schedule WHERE wake_at IS NOT NULL;

-- advance_own --
-- Due times up to here are decided.
UPDATE schedule SET next_at = :next_at, wake_at = :wake_at, last_at = coalesce(:last_at, last_at),
  is_enabled = CASE WHEN :next_at IS NULL AND kind = 'once' THEN 0 ELSE is_enabled END WHERE id = :id;

-- put_override --
-- A change to what is written in code.
INSERT INTO override (app_id, environment, scheduler, key, is_new, is_deleted, is_enabled, spec, at, by, sealed)
VALUES (:app_id, :environment, :scheduler, :key, :is_new, :is_deleted, :is_enabled, :spec, :at, :by, :sealed)
ON CONFLICT DO UPDATE SET is_deleted = excluded.is_deleted, is_enabled = excluded.is_enabled, spec = excluded.spec, at = excluded.at,
  by = excluded.by, sealed = excluded.sealed;

-- drop_override --
-- Deletes an override.
DELETE FROM override WHERE app_id = :app_id AND environment = :environment AND scheduler = :scheduler AND key = :key;

-- list_overrides --
-- Of one scheduler, in the order of their keys, so that the same changes are the same list. Index: the primary key.
SELECT key, is_new, is_deleted, is_enabled, spec, at, by, sealed FROM override
WHERE app_id = :app_id AND environment = :environment AND scheduler = :scheduler ORDER BY key;

-- add_edit --
-- Who changed it, and why.
INSERT INTO schedule_edit (app_id, environment, scheduler, key, at, by, action, reason, changes)
VALUES (:app_id, :environment, :scheduler, :key, :at, :by, :action, :reason, :changes);

-- list_edits --
-- Of one schedule, newest first. Index: schedule_edit_of.
SELECT at, by, action, reason, changes FROM schedule_edit
WHERE app_id = :app_id AND environment = :environment AND scheduler = :scheduler AND key = :key ORDER BY at DESC, id DESC LIMIT 50;

-- environment_of --
-- The environment of a process, by its boot.
SELECT environment_id FROM agent WHERE app_id = :app_id AND boot = :boot;
