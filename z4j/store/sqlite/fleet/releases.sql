-- SPDX-License-Identifier: AGPL-3.0-or-later
-- put_sight --
-- A process of a release began then; the earliest time stays.
INSERT INTO release_sight (app_id, environment_id, release_id, first_at) VALUES (:app_id, :environment_id, :release_id, :at)
ON CONFLICT DO UPDATE SET first_at = excluded.first_at WHERE excluded.first_at < first_at;

-- list_sights --
-- Releases first seen in a range, the newest first. Index: release_sight_first.
SELECT a.name, coalesce(e.text, ''), r.text, s.first_at
FROM release_sight AS s JOIN app AS a ON a.id = s.app_id JOIN name AS r ON r.id = s.release_id LEFT JOIN name AS e ON e.id = s.environment_id
WHERE s.first_at >= :since AND s.first_at < :until AND :app IN ('', a.name) AND :environment IN ('', e.text)
ORDER BY s.first_at DESC LIMIT :limit;

-- first_sights --
-- When some releases were first seen, wherever that was. A table of hundreds.
SELECT r.text, min(s.first_at) FROM release_sight AS s JOIN name AS r ON r.id = s.release_id JOIN app AS a ON a.id = s.app_id
WHERE s.release_id IN (SELECT value FROM json_each(:ids)) AND :app IN ('', a.name) GROUP BY r.text;

-- list_starts --
-- When the processes of a worker began, the newest first. Index: boot_worker.
SELECT b.at, b.pid, coalesce(r.text, '') FROM boot AS b LEFT JOIN name AS r ON r.id = b.release_id
WHERE b.app_id = :app_id AND b.worker_id = :worker_id AND b.worker_id != 0 AND b.at >= :since AND b.at < :until
  AND b.environment_id IN (SELECT id FROM name WHERE kind = 'environment' AND text = :environment)
ORDER BY b.at DESC LIMIT :limit;
