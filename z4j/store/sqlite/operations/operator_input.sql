-- SPDX-License-Identifier: AGPL-3.0-or-later
-- signatures_of --
-- How a task is called, by any engine of its app.
SELECT t.signature FROM task_name AS t JOIN name AS n ON n.id = t.name_id WHERE t.app_id = :app_id AND n.text = :name;

-- unsealed_commands --
-- Commands whose parameters were stored before there was a key.
SELECT id, app_id, params, ended_at IS NULL FROM command
WHERE sealed = '' AND action IN ('run_task', 'edit_task', 'save_schedule');

-- put_command --
-- A command's parameters as they are shown, and the encrypted copy.
UPDATE command SET params = :params, sealed = :sealed WHERE id = :id;

-- unsealed_schedules --
-- Schedules of z4j's own, and lists of others, stored before there was a key.
SELECT id, app_id, key, task_name, args, kwargs, scheduler = 'z4j' FROM schedule WHERE sealed = '';

-- put_schedule --
-- An own schedule's arguments as they are shown, and the encrypted copy.
UPDATE schedule SET args = :args, kwargs = :kwargs, sealed = :sealed WHERE id = :id;

-- unsealed_overrides --
-- What an older release stored in clear.
SELECT app_id, environment, scheduler, key, spec FROM override WHERE sealed = '' AND spec IS NOT NULL;

-- put_override --
-- An override as it is shown, and the encrypted copy.
UPDATE override SET spec = :spec, sealed = :sealed
WHERE app_id = :app_id AND environment = :environment AND scheduler = :scheduler AND key = :key;

-- all_edits --
-- What an older release stored in clear.
SELECT e.id, e.reason, e.changes, e.app_id, coalesce(s.task_name, '') FROM schedule_edit AS e LEFT JOIN schedule AS s
ON (s.app_id, s.environment, s.scheduler, s.key) = (e.app_id, e.environment, e.scheduler, e.key);

-- put_edit --
-- An edit of a schedule as it is shown.
UPDATE schedule_edit SET reason = :reason, changes = :changes WHERE id = :id;

-- read_closed --
-- The rules of redaction that the stored values were closed with; no row before that was done.
SELECT value FROM setting WHERE key = 'typed_values_closed';

-- put_closed --
-- It is done, in the transaction that did it.
INSERT INTO setting (key, value) VALUES ('typed_values_closed', :rules) ON CONFLICT DO UPDATE SET value = excluded.value;

-- texts_of_command --
-- Why it was asked for, and the answer of its agent.
SELECT id, reason, detail FROM command;

-- put_texts_of_command --
-- The same masked.
UPDATE command SET reason = ?, detail = ? WHERE id = ?;

-- texts_of_plan --
-- Why it was requested, and why it is stalled.
SELECT id, reason, note FROM plan;

-- put_texts_of_plan --
-- The same masked.
UPDATE plan SET reason = ?, note = ? WHERE id = ?;

-- texts_of_plan_item --
-- What an agent answered.
SELECT plan_id, seq, detail FROM plan_item WHERE detail IS NOT NULL;

-- put_texts_of_plan_item --
-- The same masked.
UPDATE plan_item SET detail = ? WHERE plan_id = ? AND seq = ?;

-- texts_of_fire --
-- Why a due time came to nothing.
SELECT id, error FROM fire WHERE error != '';

-- put_texts_of_fire --
-- The same masked.
UPDATE fire SET error = ? WHERE id = ?;

-- texts_of_fault --
-- What went wrong in an agent.
SELECT app_id, key, error FROM fault;

-- put_texts_of_fault --
-- The same masked.
UPDATE fault SET error = ? WHERE app_id = ? AND key = ?;

-- texts_of_scheduler --
-- What a scheduler could not do, and its notes.
SELECT app_id, scheduler, boot, failed, notes FROM scheduler;

-- put_texts_of_scheduler --
-- The same masked.
UPDATE scheduler SET failed = ?, notes = ? WHERE app_id = ? AND scheduler = ? AND boot = ?;

-- texts_of_schedule --
-- What cannot be done with it and why, and its note.
SELECT id, unable, note FROM schedule;

-- put_texts_of_schedule --
-- The same masked.
UPDATE schedule SET unable = ?, note = ? WHERE id = ?;

-- texts_of_task_name --
-- How a task is called, and what it does.
SELECT app_id, name_id, engine_id, environment_id, signature, doc FROM task_name;

-- put_texts_of_task_name --
-- The same masked.
UPDATE task_name SET signature = ?, doc = ? WHERE app_id = ? AND name_id = ? AND engine_id = ? AND environment_id = ?;

-- texts_of_error --
-- The note of an error, and the link to its runbook.
SELECT id, note, runbook FROM error_group WHERE note != '' OR runbook != '';

-- put_texts_of_error --
-- The same masked.
UPDATE error_group SET note = ?, runbook = ? WHERE id = ?;

-- texts_of_agent --
-- Notes of a process and of its worker, and why it left.
SELECT id, notes, worker_notes, left_reason FROM agent;

-- put_texts_of_agent --
-- The same masked.
UPDATE agent SET notes = ?, worker_notes = ?, left_reason = ? WHERE id = ?;
