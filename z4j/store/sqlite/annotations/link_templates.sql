-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_links --
-- The templates of links, at most 20.
SELECT id, name, url FROM link_template ORDER BY name COLLATE NOCASE, id;

-- count_links --
-- How many there are, and how many of them have a name. At most 20.
SELECT count(*), coalesce(sum(name = :name), 0) FROM link_template;

-- add_link --
-- A new one.
INSERT INTO link_template (name, url, created_at) VALUES (:name, :url, :at) RETURNING id;

-- delete_link --
-- It is gone. Index: the primary key.
DELETE FROM link_template WHERE id = :id RETURNING id, name, url;
