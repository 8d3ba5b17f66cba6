-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_open --
-- The findings that last, by key. Index: finding_open.
SELECT key, began_at, found_at, level FROM finding WHERE ended_at IS NULL;

-- begin --
-- One that was found.
INSERT INTO finding (key, kind, app, environment, engine, subject, level, title, text, began_at, found_at)
VALUES (:key, :kind, :app, :environment, :engine, :subject, :level, :title, :text, :at, :found_at) ON CONFLICT DO NOTHING;

-- worsen --
-- Its level. Index: finding_open.
UPDATE finding SET level = :level WHERE key = :key AND ended_at IS NULL;

-- end --
-- Ends a finding. Index: finding_open.
UPDATE finding SET ended_at = :at WHERE key = :key AND ended_at IS NULL;

-- list_ended --
-- Those that ended last. Index: finding_ended.
SELECT key, kind, app, environment, engine, subject, level, title, text, began_at, ended_at FROM finding
WHERE ended_at >= :since ORDER BY ended_at DESC, id DESC LIMIT :limit;

-- delete_old --
-- Some that ended before then. Index: finding_ended.
DELETE FROM finding WHERE id IN (SELECT id FROM finding WHERE ended_at < :before LIMIT :limit);

-- delete_beyond --
-- Some of the oldest ended ones beyond a number. Index: finding_ended.
DELETE FROM finding WHERE id IN (SELECT id FROM finding WHERE ended_at < (
  SELECT ended_at FROM finding WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT 1 OFFSET :kept) ORDER BY ended_at LIMIT :limit);

-- list_muted --
-- Muted findings.
SELECT kind, app, environment, engine, subject, muted_by, reason, at FROM muted_finding ORDER BY kind, subject;

-- mute --
-- One more.
INSERT INTO muted_finding (kind, app, environment, engine, subject, muted_by, reason, at)
VALUES (:kind, :app, :environment, :engine, :subject, :muted_by, :reason, :at)
ON CONFLICT DO UPDATE SET muted_by = excluded.muted_by, reason = excluded.reason, at = excluded.at;

-- unmute --
-- One less. Index: the primary key.
DELETE FROM muted_finding WHERE (kind, app, environment, engine, subject) = (:kind, :app, :environment, :engine, :subject);
