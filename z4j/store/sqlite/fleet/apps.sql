-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_app --
-- A new app.
INSERT INTO app (name, created_at, seal_key_id) VALUES (:name, :at, :seal_key_id) RETURNING id;

-- find_app --
-- An app by its name.
SELECT id, name, created_at, coalesce(seal_key_id, ''), 0, disabled_at FROM app WHERE name = :name;

-- list_apps --
-- Every app by name, with how many tokens of it work.
SELECT a.id, a.name, a.created_at, coalesce(a.seal_key_id, ''),
  (SELECT count(*) FROM token AS t WHERE t.app_id = a.id AND t.revoked_at IS NULL), a.disabled_at
FROM app AS a ORDER BY a.name;

-- set_app_disabled --
-- Disables an app, so that its agents may not connect, or enables it again.
UPDATE app SET disabled_at = :at WHERE id = :id AND (disabled_at IS NULL) != (:at IS NULL) RETURNING name;

-- set_seal_key --
-- The first key of an app.
UPDATE app SET seal_key_id = :seal_key_id WHERE id = :id AND coalesce(seal_key_id, '') = '';

-- list_app_names --
-- Apps by id.
SELECT id, name FROM app;
