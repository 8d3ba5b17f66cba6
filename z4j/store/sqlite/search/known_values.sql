-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_names --
-- Names of a kind that begin with a text, newest first, of the first thousand. Index: the unique one on (kind, text).
SELECT text FROM (
  SELECT id, text FROM name WHERE kind = :kind AND text >= :prefix AND text < :prefix || char(0x10ffff) LIMIT 1000
) ORDER BY id DESC LIMIT :limit;

-- list_errors --
-- Errors by number or title, the last seen first. An app has at most some thousands of them. Index: error_group_last.
SELECT id, title FROM error_group WHERE merged_into IS NULL AND (instr(lower(title), :text) > 0 OR CAST(id AS TEXT) LIKE :text || '%')
ORDER BY last_at DESC LIMIT :limit;
