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
SELECT id, reason, changes FROM schedule_edit;

-- put_edit --
-- An edit of a schedule as it is shown.
UPDATE schedule_edit SET reason = :reason, changes = :changes WHERE id = :id;

-- read_closed --
-- The rules of redaction that the stored values were closed with; no row before that was done.
SELECT value FROM setting WHERE key = 'typed_values_closed';

-- put_closed --
-- It is done, in the transaction that did it.
INSERT INTO setting (key, value) VALUES ('typed_values_closed', :rules) ON CONFLICT DO UPDATE SET value = excluded.value;
