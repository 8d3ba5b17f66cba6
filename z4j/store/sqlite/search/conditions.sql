-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_by_prefix --
-- Names of a kind that begin with a text. Index: the unique one on (kind, text), from the text to the last one that begins with it.
SELECT id FROM name WHERE kind = :kind AND text >= :prefix AND text < :prefix || char(0x10ffff) LIMIT :limit;

-- list_apps --
-- Apps by id. There are few.
SELECT id, name FROM app;
