-- SPDX-License-Identifier: AGPL-3.0-or-later
-- count_facets --
-- How many tasks each value of each facet has under the other filters (-1: any). Scans counters only.
SELECT 'state', CAST(state AS TEXT), sum(tasks) FROM counter
WHERE :name_id IN (-1, name_id) AND :queue_id IN (-1, queue_id) AND :engine_id IN (-1, engine_id)
  AND :environment_id IN (-1, environment_id) AND :app_id IN (-1, app_id)
GROUP BY state HAVING sum(tasks) > 0
UNION ALL
SELECT 'name', n.text, c.tasks FROM (SELECT name_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND :queue_id IN (-1, queue_id) AND :engine_id IN (-1, engine_id)
    AND :environment_id IN (-1, environment_id) AND :app_id IN (-1, app_id)
  GROUP BY name_id ORDER BY tasks DESC LIMIT 200) AS c JOIN name AS n ON n.id = c.name_id WHERE c.tasks > 0
UNION ALL
SELECT 'queue', n.text, c.tasks FROM (SELECT queue_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND :name_id IN (-1, name_id) AND :engine_id IN (-1, engine_id)
    AND :environment_id IN (-1, environment_id) AND :app_id IN (-1, app_id)
  GROUP BY queue_id ORDER BY tasks DESC LIMIT 200) AS c JOIN name AS n ON n.id = c.queue_id WHERE c.tasks > 0
UNION ALL
SELECT 'engine', n.text, c.tasks FROM (SELECT engine_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND :name_id IN (-1, name_id) AND :queue_id IN (-1, queue_id)
    AND :environment_id IN (-1, environment_id) AND :app_id IN (-1, app_id)
  GROUP BY engine_id) AS c JOIN name AS n ON n.id = c.engine_id WHERE c.tasks > 0
UNION ALL
SELECT 'environment', n.text, c.tasks FROM (SELECT environment_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND :name_id IN (-1, name_id) AND :queue_id IN (-1, queue_id)
    AND :engine_id IN (-1, engine_id) AND :app_id IN (-1, app_id)
  GROUP BY environment_id) AS c JOIN name AS n ON n.id = c.environment_id WHERE c.tasks > 0
UNION ALL
SELECT 'app', a.name, c.tasks FROM (SELECT app_id, sum(tasks) AS tasks FROM counter
  WHERE (:states >> state) & 1 AND :name_id IN (-1, name_id) AND :queue_id IN (-1, queue_id)
    AND :engine_id IN (-1, engine_id) AND :environment_id IN (-1, environment_id)
  GROUP BY app_id) AS c JOIN app AS a ON a.id = c.app_id WHERE c.tasks > 0;

-- count_scopes --
-- How many tasks each app, environment and engine has. One pass over the counters, in the order of their primary key.
SELECT a.name, e.text, g.text, c.tasks FROM (
  SELECT app_id, environment_id, engine_id, sum(tasks) AS tasks FROM counter GROUP BY app_id, environment_id, engine_id
) AS c JOIN app AS a ON a.id = c.app_id LEFT JOIN name AS e ON e.id = c.environment_id LEFT JOIN name AS g ON g.id = c.engine_id
WHERE c.tasks > 0;
