-- SPDX-License-Identifier: AGPL-3.0-or-later
-- part_columns --
-- What every list shows.
id, rule_id, rule, severity, app, environment, level, title, opened_at, fired_at, reminded_at, escalated_at, acknowledged_at,
  acknowledged_by, resolved_at

-- list_open --
-- Open alerts. Index: alert_open.
SELECT {part_columns} FROM alert WHERE resolved_at IS NULL ORDER BY opened_at DESC, id DESC;

-- list_alerts --
-- A page of all, newest first. Index: alert_opened.
SELECT {part_columns} FROM alert WHERE (opened_at, id) < (:at, :id) ORDER BY opened_at DESC, id DESC LIMIT :limit;

-- get_alert --
-- One. Index: the primary key.
SELECT {part_columns} FROM alert WHERE id = :id;

-- list_items --
-- The findings of some alerts. Index: the primary key.
SELECT i.alert_id, i.key, i.level, i.title, i.text, i.href, i.since, i.found_at, i.joined_at, i.ended_at
FROM json_each(:alerts) AS j CROSS JOIN alert_item AS i ON i.alert_id = j.value ORDER BY i.alert_id, i.joined_at, i.key;

-- last_fired --
-- When each rule last fired in each app and environment. Index: alert_fired.
SELECT rule_id, app, environment, max(fired_at) FROM alert WHERE rule_id = :rule AND fired_at IS NOT NULL GROUP BY rule_id, app, environment;

-- open_alert --
-- A new one.
INSERT INTO alert (rule_id, rule, severity, app, environment, level, title, opened_at)
VALUES (:rule_id, :rule, :severity, :app, :environment, :level, :title, :opened_at);

-- change_alert --
-- The state of an alert; its acknowledgement is kept. Index: the primary key.
UPDATE alert SET level = :level, title = :title, fired_at = :fired_at, reminded_at = :reminded_at, escalated_at = :escalated_at,
  resolved_at = :resolved_at WHERE id = :id;

-- put_item --
-- A finding in it. Index: the primary key.
INSERT INTO alert_item (alert_id, key, level, title, text, href, since, found_at, joined_at, ended_at)
VALUES (:alert_id, :key, :level, :title, :text, :href, :since, :found_at, :joined_at, :ended_at)
ON CONFLICT DO UPDATE SET level = excluded.level, title = excluded.title, text = excluded.text, href = excluded.href,
  ended_at = excluded.ended_at;

-- acknowledge --
-- Acknowledged. Index: the primary key.
UPDATE alert SET acknowledged_at = :at, acknowledged_by = :actor WHERE id = :id AND acknowledged_at IS NULL AND resolved_at IS NULL;

-- close_of_rule --
-- Open alerts of a deleted or changed rule. Index: alert_open.
UPDATE alert SET resolved_at = :at WHERE rule_id = :rule AND resolved_at IS NULL;

-- list_old --
-- Some that were resolved before a time. Index: alert_resolved.
SELECT id FROM alert WHERE resolved_at IS NOT NULL AND resolved_at < :before LIMIT :limit;

-- delete_items --
-- Index: the primary key.
DELETE FROM alert_item WHERE alert_id = :id;

-- delete_alert --
-- Index: the primary key.
DELETE FROM alert WHERE id = :id;
