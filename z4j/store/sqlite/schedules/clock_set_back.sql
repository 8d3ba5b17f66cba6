-- SPDX-License-Identifier: AGPL-3.0-or-later
-- drop_ahead --
-- Stored as missed, and not due yet: the clock was set back. Index: fire_due.
DELETE FROM fire WHERE due_at > :at AND boot = '' AND outcome IN ('missed', 'skipped') RETURNING schedule_id;

-- set_aside_ahead --
-- Runs of due times that come again after the clock was set back. Index: the unique one.
UPDATE fire SET boot = :clock WHERE schedule_id = :schedule_id AND due_at > :at AND boot = '';

-- list_ahead --
-- Own schedules that wait, and those of :ids (JSON) that have no due time. Indexes: schedule_wake, the primary key.
SELECT id, kind, expression, timezone, anchor, starts_at, ends_at, next_at, jitter_us FROM schedule WHERE wake_at > :at
UNION ALL
SELECT id, kind, expression, timezone, anchor, starts_at, ends_at, NULL, jitter_us FROM schedule
WHERE id IN (SELECT value FROM json_each(:ids)) AND wake_at IS NULL AND scheduler = 'z4j' AND (is_enabled = 1 OR kind = 'once');

-- reset_next --
-- The next due time after the clock was set back. A one-off that it had ended is enabled again.
UPDATE schedule SET next_at = :next_at, wake_at = :wake_at, is_enabled = 1 WHERE id = :id;
