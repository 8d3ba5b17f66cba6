-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_user --
-- A new person.
INSERT INTO user (name, password_hash, role, created_at) VALUES (:name, :password_hash, :role, :at) RETURNING id;

-- find_user --
-- A person by name.
SELECT id, name, password_hash, role, created_at, disabled_at FROM user WHERE name = :name;

-- get_user --
-- A person by id.
SELECT id, name, password_hash, role, created_at, disabled_at FROM user WHERE id = :id;

-- list_users --
-- All users, by name.
SELECT id, name, '', role, created_at, disabled_at FROM user ORDER BY disabled_at IS NOT NULL, name;

-- count_admins --
-- Administrators who may sign in.
SELECT count(*) FROM user WHERE role = 'admin' AND disabled_at IS NULL;

-- set_role --
-- Another role from now on.
UPDATE user SET role = :role WHERE id = :id;

-- set_time_zone --
-- Time zone of a user; '' is that of the browser.
UPDATE user SET time_zone = :time_zone WHERE id = :id;

-- get_news_marks --
-- Read markers of the news: the current and the previous one.
SELECT coalesce(news_at, created_at), coalesce(news_before, created_at) FROM user WHERE id = :id;

-- set_news_marks --
-- Sets the read markers.
UPDATE user SET news_at = :read_until, news_before = :before WHERE id = :id;

-- set_password --
-- Another password from now on.
UPDATE user SET password_hash = :password_hash WHERE id = :id;

-- set_disabled --
-- May not (or may again) sign in.
UPDATE user SET disabled_at = :at WHERE id = :id;

-- end_tokens_of --
-- Revokes the API tokens of a user who may no longer sign in. Index: token_owner.
UPDATE token SET revoked_at = :at WHERE owner_id = :id AND revoked_at IS NULL;
