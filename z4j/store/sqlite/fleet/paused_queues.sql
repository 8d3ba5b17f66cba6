-- SPDX-License-Identifier: AGPL-3.0-or-later
-- pause_queue_row --
-- A queue is paused, unless a pause of it is in force: in this broker, under any of its names, or in all. Index: hold_open.
INSERT INTO hold (app_id, environment, engine, queue, broker, at, asked_by, reason)
SELECT :app_id, :environment, :engine, :queue, :broker, :at, :by, :reason
WHERE NOT EXISTS (
  SELECT 1 FROM hold WHERE app_id = :app_id AND environment = :environment AND engine = :engine AND queue = :queue AND ended_at IS NULL
    AND (broker = '' OR broker IN (SELECT value FROM json_each(:names))))
ON CONFLICT DO NOTHING;

-- resume_queue_row --
-- A queue is resumed: in one broker, under any of its names, or in all if none is named. A pause of all brokers ends with it. Index: hold_open.
UPDATE hold SET ended_at = :at, ended_by = :by
WHERE app_id = :app_id AND environment = :environment AND engine = :engine AND queue = :queue AND ended_at IS NULL
  AND (:broker = '' OR broker = '' OR broker IN (SELECT value FROM json_each(:names))) RETURNING broker, at, asked_by, reason;

-- list_paused --
-- What is paused now. Index: hold_open.
SELECT h.id, a.name, h.app_id, h.environment, h.engine, h.queue, h.at, h.asked_by, h.reason, h.ended_at, h.broker
FROM hold AS h JOIN app AS a ON a.id = h.app_id WHERE h.ended_at IS NULL ORDER BY h.at;

-- list_for_agent --
-- What is paused for one app, and what went on lately. Indexes: hold_open, hold_ended.
SELECT h.id, '', h.app_id, h.environment, h.engine, h.queue, h.at, h.asked_by, h.reason, h.ended_at, h.broker
FROM hold AS h WHERE h.app_id = :app_id AND (h.ended_at IS NULL OR h.ended_at > :since) ORDER BY h.at;
