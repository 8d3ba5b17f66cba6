-- SPDX-License-Identifier: AGPL-3.0-or-later
-- part_unused --
-- Whether a group is unused: no task of it is stored and, within the longer limit, it is not annotated, ignored, merged or split.
-- A merged group is deleted with the one it was merged into.
g.stored = 0 AND g.merged_into IS NULL AND (g.last_at < :kept_before OR (
  g.last_at < :before AND g.note = '' AND g.runbook = '' AND g.assigned_to = '' AND g.state != 2
  AND NOT EXISTS (SELECT 1 FROM error_group AS m WHERE m.merged_into = g.id)
  AND NOT EXISTS (SELECT 1 FROM error_split AS s JOIN error_fingerprint AS f ON f.id IN (s.fingerprint, s.part) WHERE f.error_group = g.id)))

-- list_unused --
-- Such groups, of one app or of all (-1). Scans groups only; of each the splits.
SELECT g.id FROM error_group AS g WHERE :app_id IN (-1, g.app_id) AND {part_unused} ORDER BY g.last_at LIMIT :limit;

-- delete_group --
-- One of them, if it still matches.
DELETE FROM error_group AS g WHERE g.id = :id AND {part_unused};

-- delete_merged --
-- Groups that were merged into one that is deleted, and so on. Index: error_group_merged.
WITH RECURSIVE merged(id) AS (
  SELECT id FROM error_group WHERE merged_into = :id
  UNION
  SELECT g.id FROM merged AS m JOIN error_group AS g ON g.merged_into = m.id)
DELETE FROM error_group WHERE id IN (SELECT id FROM merged) RETURNING id;

-- delete_fingerprints --
-- The fingerprints of a group. Index: error_fingerprint_group.
DELETE FROM error_fingerprint WHERE error_group = :id RETURNING id;

-- delete_splits --
-- Their splits, as origin or as part. Index: error_split_fingerprint, error_split_part.
DELETE FROM error_split WHERE fingerprint = :id OR part = :id;

-- delete_places --
-- Where they were seen. Index: the unique one.
DELETE FROM error_place WHERE fingerprint = :id;

-- delete_hours_of --
-- Their hours. Index: the primary key.
DELETE FROM error_hour WHERE fingerprint = :id;

-- delete_actions --
-- Actions on a group. Index: error_action_group.
DELETE FROM error_action WHERE error_group = :id;

-- delete_hours --
-- Some hours that are too old. Index: error_hour_hour.
DELETE FROM error_hour WHERE (fingerprint, hour) IN (SELECT fingerprint, hour FROM error_hour WHERE hour < :before LIMIT :limit);

-- delete_hours_of_app --
-- The same of one app. Index: error_hour_hour.
DELETE FROM error_hour WHERE (fingerprint, hour) IN (
  SELECT h.fingerprint, h.hour FROM error_hour AS h JOIN error_fingerprint AS f ON f.id = h.fingerprint
  WHERE h.hour < :before AND f.app_id = :app_id LIMIT :limit);
