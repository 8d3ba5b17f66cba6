-- SPDX-License-Identifier: AGPL-3.0-or-later
-- count_live --
-- How many run, wait and retry under the filters. Scans counters only.
SELECT coalesce(sum(tasks) FILTER (WHERE state = 4), 0), coalesce(sum(tasks) FILTER (WHERE state IN (2, 3)), 0),
  coalesce(sum(tasks) FILTER (WHERE state = 5), 0)
FROM counter
WHERE :engine_id IN (-1, engine_id) AND :environment_id IN (-1, environment_id) AND :app_id IN (-1, app_id);

-- oldest_waiting --
-- The task that has waited longest, among the oldest of one state. Index: task_state.
SELECT t.first_at, q.text FROM (SELECT * FROM task WHERE state = :state ORDER BY first_at LIMIT 2000) AS t
  LEFT JOIN name AS q ON q.id = t.queue_id
WHERE :engine_id IN (-1, t.engine_id) AND :environment_id IN (-1, t.environment_id) AND :app_id IN (-1, t.app_id)
ORDER BY t.first_at LIMIT 1;
