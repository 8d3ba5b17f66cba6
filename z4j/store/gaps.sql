-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_gap --
-- Events that were dropped before they could be sent; the same gap told twice is one.
INSERT OR IGNORE INTO gap (app_id, key, at, events, bytes, first_at, last_at, cause)
VALUES (:app_id, :key, :at, :events, :bytes, :first_at, :last_at, :cause);

-- list_gaps --
-- The newest gaps of all apps. Index: gap_at.
SELECT a.name, g.at, g.events, g.bytes, g.first_at, g.last_at, g.cause
FROM gap AS g JOIN app AS a ON a.id = g.app_id WHERE g.at >= :since ORDER BY g.at DESC LIMIT 100;

-- add_fault --
-- A fault inside an agent; the same fault told again keeps the higher count.
INSERT INTO fault (app_id, key, at, place, error, events)
VALUES (:app_id, :key, :at, :place, :error, :events)
ON CONFLICT DO UPDATE SET events = max(events, excluded.events), at = max(at, excluded.at);

-- list_faults --
-- The newest faults of all agents. Index: fault_at.
SELECT a.name, f.at, f.place, f.error, f.events
FROM fault AS f JOIN app AS a ON a.id = f.app_id WHERE f.at >= :since ORDER BY f.at DESC LIMIT 100;

-- add_refused --
-- Records that could not be used, by cause.
INSERT INTO refused (app_id, cause, events, last_at) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET events = events + excluded.events, last_at = max(last_at, excluded.last_at);

-- list_refused --
-- Every cause for which records were refused. A handful of rows.
SELECT a.name, r.cause, r.events, r.last_at FROM refused AS r JOIN app AS a ON a.id = r.app_id
ORDER BY r.last_at DESC;
