-- SPDX-License-Identifier: AGPL-3.0-or-later
-- tasks_after --
-- Tasks that were added after this one.
SELECT count(*) FROM task WHERE id > :id;

-- list_users --
-- Each user, and whether it is disabled.
SELECT id || ' ' || created_at, name, disabled_at IS NOT NULL FROM user;

-- list_tokens --
-- Each token, and whether it is revoked.
SELECT hex(secret_hash), label || ' (' || hint || '…)', revoked_at IS NOT NULL FROM token;

-- list_apps --
-- Each app, and whether it is disabled.
SELECT id || ' ' || created_at, name, disabled_at IS NOT NULL FROM app;

-- list_schedules --
-- Each schedule of z4j's own. It ends by being deleted, so none is marked.
SELECT id || ' ' || key, name, 0 FROM schedule WHERE scheduler = 'z4j';

-- end_sessions --
-- Sessions that were signed out since the backup must not become valid again.
DELETE FROM session;

-- end_links --
-- The same for one-time links.
DELETE FROM login_link;

-- end_commands --
-- Commands that were open when the backup was made: they may have been executed since, so they are never sent again.
UPDATE command SET status = 'unknown', detail = :detail, ended_at = :at, sealed = '' WHERE ended_at IS NULL;

-- pause_plans --
-- A plan does not continue: its next items may have been executed since the backup.
UPDATE plan SET status = 'paused', note = :note WHERE status = 'running';

-- list_fires --
-- Runs of z4j's own scheduler, with the schedule they belong to.
SELECT f.schedule_id, f.due_at, f.fired_at, f.outcome, f.task_id, f.error, f.spool, f.expires_at, s.key
FROM fire AS f JOIN schedule AS s ON s.id = f.schedule_id WHERE f.boot = '' AND s.scheduler = 'z4j';

-- keep_fire --
-- A run that was decided after the backup is not decided again.
INSERT INTO fire (schedule_id, due_at, fired_at, outcome, task_id, error, spool, expires_at)
SELECT :schedule_id, :due_at, :fired_at, :outcome, :task_id, :error, :spool, :expires_at
WHERE EXISTS (SELECT 1 FROM schedule WHERE id = :schedule_id AND key = :key AND scheduler = 'z4j')
ON CONFLICT (schedule_id, due_at, boot) DO UPDATE SET fired_at = excluded.fired_at, outcome = excluded.outcome, task_id = excluded.task_id,
  error = excluded.error, spool = excluded.spool, expires_at = excluded.expires_at;

-- end_fires --
-- Runs that were open when the backup was made, where nothing newer is recorded.
UPDATE fire SET outcome = 'unknown', error = :error WHERE outcome IN ('waiting', 'handed') AND boot = '';

-- keep_numbers --
-- Numbers of tasks that were used after the backup are not used again: bookmarks and plans may refer to them.
INSERT INTO setting (key, value) VALUES ('newest_task', :newest)
ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER));

-- last_number --
-- The last number of a schedule.
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'schedule';

-- keep_schedule_numbers --
-- The same for numbers of schedules.
UPDATE sqlite_sequence SET seq = max(seq, :last) WHERE name = 'schedule';

-- find_table --
-- A table: an older release may not have it.
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name;

-- list_undelivered --
-- Messages of alerts that are not delivered yet. Index: alert_message_next.
SELECT id FROM alert_message WHERE next_at IS NOT NULL;

-- withdraw_messages --
-- Messages that were not delivered when the backup was made, and are delivered or over now. Index: alert_message_next.
UPDATE alert_message SET next_at = NULL, outcome = 'withdrawn'
WHERE next_at IS NOT NULL AND id NOT IN (SELECT value FROM json_each(:undelivered));

-- disable_channels --
-- Channels of a copy do not send.
UPDATE alert_channel SET is_enabled = 0, changed_by = 'restore', changed_at = :at WHERE is_enabled = 1 RETURNING name;

-- disable_targets --
-- Targets of a copy get nothing.
UPDATE forward_target SET is_enabled = 0, changed_by = 'restore', changed_at = :at WHERE is_enabled = 1 RETURNING name;
