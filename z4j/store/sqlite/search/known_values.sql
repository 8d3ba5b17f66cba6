-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_names --
-- Names of a kind that begin with a text, newest first, of the first thousand. Index: the unique one on (kind, text).
SELECT text FROM (
  SELECT id, text FROM name WHERE kind = :kind AND text >= :prefix AND text < :prefix || char(0x10ffff) LIMIT 1000
) ORDER BY id DESC LIMIT :limit;
