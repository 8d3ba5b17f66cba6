-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_views --
-- The views of a person, then those that others share. Index: the unique one on (user_id, name), and task_view_shared.
SELECT v.id, v.user_id, u.name, v.name, v.query, v.is_shared, v.changed_at FROM task_view AS v JOIN user AS u ON u.id = v.user_id
WHERE v.user_id = :user_id OR v.is_shared ORDER BY v.user_id != :user_id, v.name COLLATE NOCASE, v.id;

-- get_view --
-- One view. Index: the primary key.
SELECT v.id, v.user_id, u.name, v.name, v.query, v.is_shared, v.changed_at FROM task_view AS v JOIN user AS u ON u.id = v.user_id
WHERE v.id = :id;

-- count_views --
-- How many a person has, and how many of them have that name, but for one. Index: the unique one on (user_id, name).
SELECT count(*), coalesce(sum(name = :name AND id != :id), 0) FROM task_view WHERE user_id = :user_id;

-- add_view --
-- A new view.
INSERT INTO task_view (user_id, name, query, is_shared, created_at, changed_at)
VALUES (:user_id, :name, :query, :is_shared, :at, :at) RETURNING id;

-- change_view --
-- Its name and who sees it.
UPDATE task_view SET name = :name, is_shared = :is_shared, changed_at = :at WHERE id = :id;

-- delete_view --
-- It is gone.
DELETE FROM task_view WHERE id = :id;
