-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_gap --
-- Events that were dropped before they could be sent; the same gap reported again keeps the higher count.
INSERT INTO gap (app_id, key, at, events, bytes, first_at, last_at, cause)
VALUES (:app_id, :key, :at, :events, :bytes, :first_at, :last_at, :cause)
ON CONFLICT DO UPDATE SET events = max(events, excluded.events), bytes = max(bytes, excluded.bytes), at = max(at, excluded.at),
  last_at = max(last_at, excluded.last_at);

-- trim_gaps --
-- The oldest gaps of an app beyond so many, but never the one that was just reported.
DELETE FROM gap WHERE id IN (SELECT id FROM gap WHERE app_id = :app_id AND key != :key ORDER BY at, id
  LIMIT max(0, (SELECT count(*) FROM gap WHERE app_id = :app_id) - :most));

-- list_gaps --
-- The newest gaps of each app, so that one that reports many, or has a clock that is ahead, hides none of another. Index: gap_at.
SELECT name, at, events, bytes, first_at, last_at, cause FROM (
  SELECT a.name, g.*, row_number() OVER (PARTITION BY g.app_id ORDER BY g.at DESC) AS place
  FROM gap AS g JOIN app AS a ON a.id = g.app_id WHERE g.at >= :since
) WHERE place <= :each ORDER BY at DESC LIMIT 200;

-- add_fault --
-- A fault inside an agent; the same fault reported again keeps the higher count.
INSERT INTO fault (app_id, key, at, place, error, events) VALUES (:app_id, :key, :at, :place, :error, :events)
ON CONFLICT DO UPDATE SET events = max(events, excluded.events), at = max(at, excluded.at);

-- trim_faults --
-- The oldest faults of an app beyond so many, but never the one that was just reported.
DELETE FROM fault WHERE app_id = :app_id AND key IN (SELECT key FROM fault WHERE app_id = :app_id AND key != :key ORDER BY at, key
  LIMIT max(0, (SELECT count(*) FROM fault WHERE app_id = :app_id) - :most));

-- list_faults --
-- The newest faults of each app's agents. Index: fault_at.
SELECT name, at, place, error, events FROM (
  SELECT a.name, f.*, row_number() OVER (PARTITION BY f.app_id ORDER BY f.at DESC) AS number
  FROM fault AS f JOIN app AS a ON a.id = f.app_id WHERE f.at >= :since
) WHERE number <= :each ORDER BY at DESC LIMIT 200;

-- add_refused --
-- Records that could not be used, by cause.
INSERT INTO refused (app_id, cause, events, last_at) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET events = events + excluded.events, last_at = max(last_at, excluded.last_at);

-- list_refused --
-- Every cause for which records were refused. A handful of rows for each app.
SELECT a.name, r.cause, r.events, r.last_at FROM refused AS r JOIN app AS a ON a.id = r.app_id
ORDER BY r.last_at DESC;
