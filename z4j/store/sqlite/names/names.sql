-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_name --
-- The id of a repeating string. Index: the unique one on (kind, text).
SELECT id FROM name WHERE kind = :kind AND text = :text;

-- add_name --
-- A string seen for the first time.
INSERT INTO name (kind, text) VALUES (:kind, :text) RETURNING id;

-- read_name --
-- The string behind an id.
SELECT text FROM name WHERE id = :id;

-- find_names --
-- The ids of several strings at once, for the filters of a page.
SELECT w.key, n.id FROM json_each(:wanted) AS w JOIN name AS n ON n.kind = w.key AND n.text = w.value;

-- read_texts --
-- The strings behind ids. Index: the primary key.
SELECT n.id, n.text FROM json_each(:ids) AS w JOIN name AS n ON n.id = w.value;
