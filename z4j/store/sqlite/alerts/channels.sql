-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_channels --
-- All channels. Scans the table, which is small.
SELECT id, name, kind, shown, is_enabled, is_weekly, weekly_at, changed_by, changed_at, delivered_at, failing_since, error
FROM alert_channel ORDER BY name;

-- read_sealed --
-- The encrypted address of a channel. Index: the primary key.
SELECT name, kind, sealed, is_enabled FROM alert_channel WHERE id = :id;

-- add_channel --
-- A new one; its secrets follow, because they are encrypted for its id.
INSERT INTO alert_channel (name, kind, shown, sealed, is_enabled, is_weekly, weekly_at, changed_by, changed_at)
VALUES (:name, :kind, :shown, '', 1, :is_weekly, :at, :actor, :at);

-- change_channel --
-- Its address. Index: the primary key.
UPDATE alert_channel SET name = :name, kind = :kind, shown = :shown, sealed = :sealed, is_weekly = :is_weekly, changed_by = :actor,
  changed_at = :at, failing_since = NULL, error = '' WHERE id = :id;

-- set_enabled --
-- Enables or disables a channel. Index: the primary key.
UPDATE alert_channel SET is_enabled = :is_enabled, changed_by = :actor, changed_at = :at WHERE id = :id;

-- delete_channel --
-- One less. Index: the primary key.
DELETE FROM alert_channel WHERE id = :id;

-- note_delivered --
-- A successful delivery. Index: the primary key.
UPDATE alert_channel SET delivered_at = :at, failing_since = NULL, error = '' WHERE id = :id;

-- note_failed --
-- A failed delivery. Index: the primary key.
UPDATE alert_channel SET failing_since = coalesce(failing_since, :at), error = :error WHERE id = :id;

-- list_weekly --
-- Channels whose weekly message is due. Scans the table, which is small.
SELECT id, weekly_at FROM alert_channel WHERE is_weekly = 1 AND is_enabled = 1 AND weekly_at <= :before;

-- set_weekly --
-- Time of the weekly message. Index: the primary key.
UPDATE alert_channel SET weekly_at = :at WHERE id = :id AND weekly_at = :expected;
