-- SPDX-License-Identifier: AGPL-3.0-or-later
-- finish_command --
-- The result of a command from an agent of its app, and of the folder it was sent to where :spool is known. "accepted" ends nothing, and
-- nothing follows an end but an agent's own answer after "expired" or "unknown".
UPDATE command SET status = :status, detail = :detail, ended_at = CASE WHEN :status = 'accepted' THEN NULL ELSE :at END,
  sealed = CASE WHEN :status = 'accepted' THEN sealed ELSE '' END
WHERE id = :id AND app_id = :app_id AND (:spool IS NULL OR spool = :spool) AND (ended_at IS NULL
  OR (status = 'expired' AND :status != 'accepted') OR (status = 'unknown' AND :status NOT IN ('accepted', 'unknown'))) RETURNING id;

-- expire_commands --
-- Commands that no agent took, or answered, in time. Index: command_open.
UPDATE command SET status = CASE status WHEN 'waiting' THEN 'expired' ELSE 'unknown' END,
  detail = CASE status WHEN 'waiting' THEN detail ELSE :detail END, ended_at = :at, sealed = ''
WHERE ended_at IS NULL AND expires_at < CASE status WHEN 'accepted' THEN :silent ELSE :at END RETURNING id;

-- add_command --
-- Requested commands.
INSERT INTO command (id, app_id, engine, action, task, task_id, params, target, status, asked_by, reason, created_at, expires_at,
  environment, queue, sealed)
VALUES (:id, :app_id, :engine, :action, :task, :task_id, :params, :target, 'waiting', :asked_by, :reason, :at, :expires_at,
  :environment, :queue, :sealed);

-- sealed_of --
-- The whole parameters of a command, encrypted. Index: the primary key.
SELECT sealed FROM command WHERE id = :id;

-- mark_sent --
-- Sent to an agent: from now on only its spool folder may receive it again. No row: it was sent before, or it has ended.
UPDATE command SET status = 'sent', sent_at = :at, spool = :spool
WHERE id = :id AND status = 'waiting' RETURNING id;

-- list_open --
-- Commands that an app's agents have not received yet. Index: command_open.
SELECT id, app_id, engine, action, task, task_id, params, target, status, detail, asked_by, reason, created_at, expires_at, sent_at,
  coalesce(spool, ''), ended_at, environment, queue
FROM command WHERE app_id = :app_id AND ended_at IS NULL AND expires_at > :at ORDER BY created_at;

-- list_cancellations --
-- Cancellations whose task still waits: an engine forgets them when its worker restarts.
SELECT c.id, c.app_id, c.engine, c.action, c.task, c.task_id, c.params, c.target, c.status, c.detail, c.asked_by, c.reason,
  c.created_at, c.expires_at, c.sent_at, coalesce(c.spool, ''), c.ended_at, c.environment, c.queue
FROM command AS c JOIN task AS t ON t.id = c.task
WHERE c.app_id = :app_id AND c.action = 'cancel_task' AND c.status = 'done' AND c.expires_at > :at
  AND c.created_at > :at - 86400000000 AND t.state IN (1, 2, 3, 5) ORDER BY c.created_at LIMIT 1000;

-- list_commands --
-- Newest first, before a time. Index: command_created.
SELECT id, app_id, engine, action, task, task_id, params, target, status, detail, asked_by, reason, created_at, expires_at, sent_at,
  coalesce(spool, ''), ended_at, environment, queue
FROM command WHERE created_at < :before ORDER BY created_at DESC LIMIT :limit;

-- list_of_task --
-- What was asked about one task. Index: command_task.
SELECT id, app_id, engine, action, task, task_id, params, target, status, detail, asked_by, reason, created_at, expires_at, sent_at,
  coalesce(spool, ''), ended_at, environment, queue
FROM command WHERE task = :task ORDER BY created_at DESC LIMIT 50;

-- list_of_queue --
-- What was asked about a queue. Index: command_queue.
SELECT id, app_id, engine, action, task, task_id, params, target, status, detail, asked_by, reason, created_at, expires_at, sent_at,
  coalesce(spool, ''), ended_at, environment, queue
FROM command INDEXED BY command_queue WHERE queue = :queue AND queue != '' AND app_id = :app_id AND engine = :engine AND :environment IN ('', environment)
ORDER BY created_at DESC LIMIT 50;

-- list_of_worker --
-- What was asked of a worker, newest first of the latest commands. Index: command_created.
SELECT id, app_id, engine, action, task, task_id, params, target, status, detail, asked_by, reason, created_at, expires_at, sent_at,
  coalesce(spool, ''), ended_at, environment, queue
FROM command WHERE created_at > :since AND target = :target AND app_id = :app_id AND environment IN (:environment, '') ORDER BY created_at DESC LIMIT 50;

-- get_command --
-- One command. Index: the primary key.
SELECT id, app_id, engine, action, task, task_id, params, target, status, detail, asked_by, reason, created_at, expires_at, sent_at,
  coalesce(spool, ''), ended_at, environment, queue
FROM command WHERE id = :id;
