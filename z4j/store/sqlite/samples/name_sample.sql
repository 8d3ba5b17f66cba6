-- SPDX-License-Identifier: AGPL-3.0-or-later
-- newest_of_name --
-- The newest tasks of a name, of those an app, environment and engine (-1: any) has. Index: task_named, then the primary key.
SELECT t.id, t.task_id, t.worker_id, t.state, t.runtime_us, t.first_at
FROM (SELECT id FROM task INDEXED BY task_named WHERE name_id = :name_id AND first_at >= :since ORDER BY first_at DESC LIMIT :limit) AS s
  CROSS JOIN task AS t ON t.id = s.id
WHERE :app_id IN (-1, t.app_id) AND :environment_id IN (-1, t.environment_id) AND :engine_id IN (-1, t.engine_id);
