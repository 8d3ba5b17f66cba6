-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_string --
-- A connection string that can still be used, with its app. Index: the primary keys.
SELECT t.id, t.created_at, t.used_at, a.id, a.name, coalesce(a.seal_key_id, '') FROM token AS t JOIN app AS a ON a.id = t.app_id
WHERE t.id = :id AND t.kind = 'agent' AND t.revoked_at IS NULL AND a.disabled_at IS NULL;

-- count_registered --
-- How many task names the agents of an app have registered with an engine, at most :limit. Index: the primary key of task_name.
SELECT count(*) FROM (SELECT 1 FROM task_name AS t JOIN name AS e ON e.id = t.engine_id AND e.text = :engine
  WHERE t.app_id = :app_id LIMIT :limit);

-- first_task --
-- Whether one of the newest tasks since then is of the app: a look at so many at most. Index: task_first.
SELECT first_at FROM (SELECT app_id, first_at FROM task WHERE first_at >= :since ORDER BY first_at DESC LIMIT :looked) WHERE app_id = :app_id
LIMIT 1;

-- newest_command --
-- The newest command to an app since then. Index: command_created.
SELECT status, detail FROM command WHERE created_at >= :since AND app_id = :app_id ORDER BY created_at DESC LIMIT 1;
