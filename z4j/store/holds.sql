-- SPDX-License-Identifier: AGPL-3.0-or-later
-- begin_hold --
-- A queue is paused; one that is paused already stays as it is.
INSERT INTO hold (app_id, environment, engine, queue, at, asked_by, reason) VALUES (:app_id, :environment, :engine, :queue, :at, :by, :reason)
ON CONFLICT DO NOTHING;

-- end_hold --
-- A queue goes on.
UPDATE hold SET ended_at = :at, ended_by = :by
WHERE app_id = :app_id AND environment = :environment AND engine = :engine AND queue = :queue AND ended_at IS NULL RETURNING id;

-- list_holds --
-- What is paused now. Index: hold_open.
SELECT h.id, a.name, h.app_id, h.environment, h.engine, h.queue, h.at, h.asked_by, h.reason, h.ended_at
FROM hold AS h JOIN app AS a ON a.id = h.app_id WHERE h.ended_at IS NULL ORDER BY h.at;

-- list_for_agent --
-- What is paused for one app, and what went on lately. Indexes: hold_open, hold_ended.
SELECT h.id, '', h.app_id, h.environment, h.engine, h.queue, h.at, h.asked_by, h.reason, h.ended_at
FROM hold AS h WHERE h.app_id = :app_id AND (h.ended_at IS NULL OR h.ended_at > :since) ORDER BY h.at;
