-- SPDX-License-Identifier: AGPL-3.0-or-later
-- part_name --
-- Whether a counter has one of these.
(:name_ids IS NULL OR (name_id IN (SELECT value FROM json_each(:name_ids))) = :name_in)

-- part_queue --
-- Whether a counter has one of these.
(:queue_ids IS NULL OR (queue_id IN (SELECT value FROM json_each(:queue_ids))) = :queue_in)

-- part_engine --
-- Whether a counter has one of these.
(:engine_ids IS NULL OR (engine_id IN (SELECT value FROM json_each(:engine_ids))) = :engine_in)

-- part_environment --
-- Whether a counter has one of these.
(:environment_ids IS NULL OR (environment_id IN (SELECT value FROM json_each(:environment_ids))) = :environment_in)

-- part_app --
-- Whether a counter has one of these.
(:app_ids IS NULL OR (app_id IN (SELECT value FROM json_each(:app_ids))) = :app_in)

-- count_facets --
-- How many tasks each value of each facet has under the other filters (NULL: any). Scans counters only.
SELECT 'state', CAST(state AS TEXT), sum(tasks) FROM counter
WHERE {part_name} AND {part_queue} AND {part_engine}
  AND {part_environment} AND {part_app}
GROUP BY state HAVING sum(tasks) > 0
UNION ALL
SELECT 'name', n.text, c.tasks FROM (SELECT name_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND {part_queue} AND {part_engine}
    AND {part_environment} AND {part_app}
  GROUP BY name_id ORDER BY tasks DESC LIMIT 200) AS c JOIN name AS n ON n.id = c.name_id WHERE c.tasks > 0
UNION ALL
SELECT 'queue', n.text, c.tasks FROM (SELECT queue_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND {part_name} AND {part_engine}
    AND {part_environment} AND {part_app}
  GROUP BY queue_id ORDER BY tasks DESC LIMIT 200) AS c JOIN name AS n ON n.id = c.queue_id WHERE c.tasks > 0
UNION ALL
SELECT 'engine', n.text, c.tasks FROM (SELECT engine_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND {part_name} AND {part_queue}
    AND {part_environment} AND {part_app}
  GROUP BY engine_id) AS c JOIN name AS n ON n.id = c.engine_id WHERE c.tasks > 0
UNION ALL
SELECT 'environment', n.text, c.tasks FROM (SELECT environment_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND {part_name} AND {part_queue}
    AND {part_engine} AND {part_app}
  GROUP BY environment_id) AS c JOIN name AS n ON n.id = c.environment_id WHERE c.tasks > 0
UNION ALL
SELECT 'app', a.name, c.tasks FROM (SELECT app_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND {part_name} AND {part_queue}
    AND {part_engine} AND {part_environment}
  GROUP BY app_id) AS c JOIN app AS a ON a.id = c.app_id WHERE c.tasks > 0;

-- count_scopes --
-- How many tasks each app, environment and engine has. One pass over the counters, in the order of their primary key.
SELECT a.name, e.text, g.text, c.tasks FROM (
  SELECT app_id, environment_id, engine_id, sum(tasks) AS tasks FROM counter GROUP BY app_id, environment_id, engine_id
) AS c JOIN app AS a ON a.id = c.app_id LEFT JOIN name AS e ON e.id = c.environment_id LEFT JOIN name AS g ON g.id = c.engine_id
WHERE c.tasks > 0;

-- list_counters --
-- Every counter that counts something, in the order of the primary key. Scans counters only.
SELECT app_id, environment_id, engine_id, name_id, queue_id, state, tasks FROM counter WHERE tasks > 0
ORDER BY app_id, environment_id, engine_id, queue_id, name_id, state LIMIT :limit;
