-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_releases --
-- Releases by app and environment, newest first. Index: release_sight_first.
SELECT s.app_id, a.name, s.environment_id, coalesce(e.text, ''), s.release_id, r.text, s.first_at
FROM release_sight AS s JOIN app AS a ON a.id = s.app_id JOIN name AS r ON r.id = s.release_id LEFT JOIN name AS e ON e.id = s.environment_id
WHERE s.first_at < :before AND :app IN ('', a.name) AND :environment IN ('', e.text)
ORDER BY s.first_at DESC LIMIT :limit;

-- find_release --
-- One. Index: the primary key, by way of the names.
SELECT s.app_id, a.name, s.environment_id, coalesce(e.text, ''), s.release_id, r.text, s.first_at
FROM name AS r JOIN release_sight AS s ON s.release_id = r.id JOIN app AS a ON a.id = s.app_id LEFT JOIN name AS e ON e.id = s.environment_id
WHERE r.kind = 'release' AND r.text = :release AND :app IN ('', a.name) AND :environment IN ('', e.text)
ORDER BY s.first_at DESC LIMIT 1;

-- newer_release --
-- The next one in the same app and environment. Index: release_sight_first.
SELECT r.text, s.first_at FROM release_sight AS s JOIN name AS r ON r.id = s.release_id
WHERE s.first_at > :at AND s.app_id = :app_id AND s.environment_id = :environment_id AND s.release_id != :release_id
ORDER BY s.first_at LIMIT 1;

-- list_series --
-- The series of single names in an app and environment. Index: the unique one of series.
SELECT id, engine_id, name_id, release_id FROM series
WHERE app_id = :app_id AND environment_id = :environment_id AND is_total = 0 AND release_id != 0 AND name_id != 0;

-- new_errors --
-- Errors of an app that were first seen in a range, most failures first. Index: error_group_app.
SELECT id, title, failed FROM error_group
WHERE app_id = :app_id AND first_at >= :since AND first_at < :until AND merged_into IS NULL ORDER BY failed DESC, id LIMIT :limit;
