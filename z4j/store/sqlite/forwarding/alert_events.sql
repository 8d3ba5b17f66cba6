-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_event --
-- One that happened.
INSERT INTO alert_event (at, alert_id, kind, body) VALUES (:at, :alert_id, :kind, :body);

-- list_events --
-- Some after one, the oldest first. Index: the primary key.
SELECT id, at, alert_id, kind, body FROM alert_event WHERE id > :after ORDER BY id LIMIT :limit;

-- delete_old --
-- Some of before a time. Index: alert_event_at.
DELETE FROM alert_event WHERE id IN (SELECT id FROM alert_event WHERE at < :before ORDER BY at LIMIT :limit)
  AND id < (SELECT max(id) FROM alert_event);
