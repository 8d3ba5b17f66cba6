-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_by_prefix --
-- Names of a kind that begin with a text. Index: the unique one on (kind, text), from the text to the last one that begins with it.
SELECT id FROM name WHERE kind = :kind AND text >= :prefix AND text < :prefix || char(0x10ffff) LIMIT :limit;

-- find_error_groups --
-- Some groups of failures, of merged ones those that show them, with their fingerprints. Index: the primary key, error_fingerprint_group.
WITH RECURSIVE shown(id, next) AS (
  SELECT id, merged_into FROM error_group WHERE id IN (SELECT value FROM json_each(:ids))
  UNION
  SELECT g.id, g.merged_into FROM shown AS s JOIN error_group AS g ON g.id = s.next)
SELECT s.id, f.id FROM shown AS s JOIN error_fingerprint AS f ON f.error_group = s.id WHERE s.next IS NULL;

-- list_apps --
-- Apps by id. There are few.
SELECT id, name FROM app;
