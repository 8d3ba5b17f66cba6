-- SPDX-License-Identifier: AGPL-3.0-or-later
-- count_by_app --
-- How many tasks each app has. Scans counters only.
SELECT app_id, sum(tasks), count(*) FROM counter GROUP BY app_id;

-- id_range --
-- The lowest and the highest row id: two steps to the ends of the table.
SELECT (SELECT min(id) FROM task), (SELECT max(id) FROM task);

-- sample_tasks --
-- About how many bytes the tasks at these row ids, or after them, take with all that is theirs. Index: the primary keys.
SELECT t.app_id, 320 + 2 * length(t.task_id) + coalesce(length(t.args), 0) + coalesce(length(t.result), 0) + coalesce(length(t.error), 0)
  + coalesce(length(t.sent), 0)
  + coalesce((SELECT sum(length(o.data) + 40) FROM original AS o WHERE o.task = t.id), 0)
  + coalesce((SELECT count(*) * 70 FROM error_task AS e WHERE e.task = t.id), 0)
  + coalesce((SELECT sum(100 + coalesce(length(r.traceback), 0) + coalesce(length(r.error), 0)) FROM run AS r WHERE r.task = t.id), 0)
FROM json_each(:ids) AS w JOIN task AS t ON t.id = (SELECT n.id FROM task AS n WHERE n.id >= w.value ORDER BY n.id LIMIT 1);

-- count_rollups --
-- How many rows of statistics each app has. Reads the keys of whole tables.
SELECT app_id, sum(found) FROM (
  SELECT s.app_id, r.found FROM (SELECT series_id, count(*) AS found FROM rollup GROUP BY series_id) AS r JOIN series AS s ON s.id = r.series_id
  UNION ALL SELECT s.app_id, r.found FROM (SELECT series_id, count(*) AS found FROM rollup_bucket GROUP BY series_id) AS r
    JOIN series AS s ON s.id = r.series_id
  UNION ALL SELECT app_id, 4 FROM series
  UNION ALL SELECT app_id, count(*) FROM worker_rollup GROUP BY app_id
  UNION ALL SELECT app_id, 2 * count(*) FROM queue_rollup GROUP BY app_id
  UNION ALL SELECT app_id, count(*) FROM queue_ledger GROUP BY app_id
) GROUP BY app_id;

-- count_errors --
-- About how many bytes the groups of failures of each app take, and how many rows. Scans groups, their fingerprints and history; of each
-- fingerprint the keys of its hours and places.
SELECT app_id, sum(bytes), sum(found) FROM (
  SELECT app_id, sum(200 + length(title) + length(message) + length(function) + length(note) + length(runbook)) AS bytes, count(*) AS found
  FROM error_group GROUP BY app_id
  UNION ALL SELECT f.app_id, sum(150 + 45 * (SELECT count(*) FROM error_hour AS h WHERE h.fingerprint = f.id)
      + 90 * (SELECT count(*) FROM error_place AS p WHERE p.fingerprint = f.id)),
    sum(1 + (SELECT count(*) FROM error_hour AS h WHERE h.fingerprint = f.id)) FROM error_fingerprint AS f GROUP BY f.app_id
  UNION ALL SELECT g.app_id, sum(60 + length(a.detail)), count(*) FROM error_action AS a JOIN error_group AS g ON g.id = a.error_group
  GROUP BY g.app_id
) GROUP BY app_id;

-- weigh_names --
-- How many names there are, and about how many bytes they take with their index.
SELECT count(*), coalesce(sum(2 * length(text) + 50), 0) FROM name;

-- count_names --
-- How many different names and queues the tasks and statistics of each app have.
SELECT app_id, count(*) FROM (
  SELECT app_id, name_id FROM counter UNION SELECT app_id, queue_id FROM counter
  UNION SELECT app_id, name_id FROM series UNION SELECT app_id, queue_id FROM series
) GROUP BY app_id;

-- count_known --
-- About how many bytes each app takes with what its processes have listed. Scans these tables, which hold no tasks.
SELECT app_id, sum(bytes), sum(found) FROM (
  SELECT app_id, count(*) * 200 AS bytes, count(*) AS found FROM queue GROUP BY app_id
  UNION ALL SELECT app_id, sum(250 + length(signature) + length(doc)), count(*) FROM task_name GROUP BY app_id
) GROUP BY app_id;

-- weigh_others --
-- About how many bytes is taken by what belongs to no app or is never deleted for its size: audit log, commands, plans, fires, settings.
SELECT (SELECT coalesce(max(seq), 0) * 400 FROM audit) + (SELECT count(*) * 700 FROM command) + (SELECT count(*) * 200 FROM fire)
  + (SELECT coalesce(sum(120 + coalesce(length(kept), 0)), 0) FROM plan_item) + (SELECT coalesce(sum(length(value)), 0) FROM setting);
