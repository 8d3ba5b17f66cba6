-- SPDX-License-Identifier: AGPL-3.0-or-later
-- count_names --
-- Every task name with its tasks, those with the most first. Scans counters only.
SELECT n.text, sum(c.tasks), c.name_id FROM counter AS c JOIN name AS n ON n.id = c.name_id
WHERE :app_id IN (-1, c.app_id) AND :environment_id IN (-1, c.environment_id) AND :engine_id IN (-1, c.engine_id) AND c.tasks > 0
  AND (:part = '' OR instr(lower(n.text), :part) > 0)
GROUP BY c.name_id ORDER BY 2 DESC, n.text LIMIT :limit OFFSET :offset;

-- series_of_names --
-- The newest series of some names. Index: series_name.
SELECT s.id, s.name_id FROM json_each(:names) AS j CROSS JOIN series AS s ON s.name_id = j.value
WHERE s.is_total = 0 AND :app_id IN (-1, s.app_id) AND :environment_id IN (-1, s.environment_id) AND :engine_id IN (-1, s.engine_id)
ORDER BY s.id DESC LIMIT :limit;
