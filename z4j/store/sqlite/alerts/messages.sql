-- SPDX-License-Identifier: AGPL-3.0-or-later
-- part_columns --
-- What lists show.
m.id, m.alert_id, m.channel_id, coalesce(c.name, ''), m.kind, m.body, m.created_at, m.due_at, m.attempts, m.next_at, m.delivered_at, m.outcome,
  m.error

-- add_message --
-- A queued message.
INSERT INTO alert_message (id, alert_id, channel_id, kind, body, created_at, due_at, next_at)
VALUES (:id, :alert_id, :channel_id, :kind, :body, :at, :due_at, :due_at);

-- list_due --
-- Due messages, some of each channel: what was not tried yet comes first, so that a message that a channel refuses delays no other one. What
-- follows a failed message of the same alert waits for it. Index: alert_message_next.
SELECT * FROM (
  SELECT {part_columns}, row_number() OVER (PARTITION BY m.channel_id ORDER BY m.attempts > 0, m.next_at, m.created_at, m.id) AS place
  FROM alert_message AS m LEFT JOIN alert_channel AS c ON c.id = m.channel_id
  WHERE m.next_at IS NOT NULL AND m.next_at <= :at AND NOT EXISTS (
    SELECT 1 FROM alert_message AS e WHERE e.alert_id = m.alert_id AND e.channel_id = m.channel_id AND e.next_at IS NOT NULL
      AND e.attempts > 0 AND (e.created_at, e.due_at, e.id) < (m.created_at, m.due_at, m.id)))
WHERE place <= :limit ORDER BY place;

-- list_of_alert --
-- Messages of an alert, newest first. Index: alert_message_alert.
SELECT {part_columns} FROM alert_message AS m LEFT JOIN alert_channel AS c ON c.id = m.channel_id
WHERE m.alert_id = :alert_id ORDER BY m.created_at DESC LIMIT :limit;

-- list_messages --
-- A page of all, newest first. Index: alert_message_created.
SELECT {part_columns} FROM alert_message AS m LEFT JOIN alert_channel AS c ON c.id = m.channel_id
WHERE (m.created_at, m.id) < (:at, :id) ORDER BY m.created_at DESC, m.id DESC LIMIT :limit;

-- get_message --
-- One. Index: the primary key.
SELECT {part_columns} FROM alert_message AS m LEFT JOIN alert_channel AS c ON c.id = m.channel_id WHERE m.id = :id;

-- deliver --
-- A delivery. Index: the primary key.
UPDATE alert_message SET delivered_at = :at, outcome = 'delivered', next_at = NULL, attempts = attempts + 1, error = '' WHERE id = :id;

-- try_again --
-- A failed attempt; a next time of NULL gives it up. Index: the primary key.
UPDATE alert_message SET attempts = attempts + 1, error = :error, next_at = :next_at, outcome = iif(:next_at IS NULL, 'given up', '')
WHERE id = :id AND next_at IS NOT NULL;

-- withdraw_held --
-- Messages of a resolved alert that are delayed by quiet hours; one message replaces them. Index: alert_message_alert.
UPDATE alert_message SET next_at = NULL, outcome = 'withdrawn' WHERE alert_id = :alert_id AND next_at IS NOT NULL AND due_at > :at;

-- withdraw_reminders --
-- Reminders of an alert that were not delivered: a newer one replaces them. Index: alert_message_alert.
UPDATE alert_message SET next_at = NULL, outcome = 'withdrawn'
WHERE alert_id = :alert_id AND kind = 'reminder' AND next_at IS NOT NULL;

-- withdraw_of_channel --
-- The undelivered messages of a channel that is deleted. Index: alert_message_channel.
UPDATE alert_message SET next_at = NULL, outcome = 'withdrawn' WHERE channel_id = :channel_id AND next_at IS NOT NULL;

-- delete_old --
-- Some finished messages created before a time. Index: alert_message_created.
DELETE FROM alert_message WHERE id IN (
  SELECT id FROM alert_message WHERE created_at < :before AND next_at IS NULL ORDER BY created_at LIMIT :limit);
