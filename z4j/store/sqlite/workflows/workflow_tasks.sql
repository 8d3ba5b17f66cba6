-- SPDX-License-Identifier: AGPL-3.0-or-later

-- list_origins --
-- A task and those it came from, by parents and retries, nearest first. A link names an id; of an id that came again it means
-- the execution of that time, as in tasks.list_targets. Index: task_link_task, task_identity.
WITH RECURSIVE origin(id) AS (
  SELECT value FROM json_each(:ids)
  UNION
  SELECT coalesce(
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id AND p.engine_id = t.engine_id AND p.life = 0
      AND p.first_at <= t.first_at),
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id AND p.engine_id = t.engine_id AND p.life > 0
      AND p.first_at <= t.first_at ORDER BY p.life DESC LIMIT 1),
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id ORDER BY p.engine_id, p.life LIMIT 1))
  FROM origin AS o CROSS JOIN task AS t ON t.id = o.id CROSS JOIN task_link AS l ON l.task = t.id
  LIMIT :most)
SELECT id FROM origin WHERE id IS NOT NULL;

-- list_followers --
-- Tasks and those that came from them, by parents and retries, or wait for them, nearest first. Whether a link means this execution
-- of an id is decided by list_links and find_dependency. Index: the primary keys of task_link and task_relation.
WITH RECURSIVE follower(id) AS (
  SELECT value FROM json_each(:ids)
  UNION
  SELECT l.task
  FROM follower AS f CROSS JOIN task AS t ON t.id = f.id
    CROSS JOIN task_link AS l ON l.app_id = t.app_id AND l.kind IN ('parent', 'retry_of') AND l.target = t.task_id
  UNION
  SELECT r.task
  FROM follower AS f CROSS JOIN task AS t ON t.id = f.id
    CROSS JOIN task_relation AS r ON r.app_id = t.app_id AND r.kind = 'depends_on' AND r.target = t.task_id
  LIMIT :most)
SELECT id FROM follower;

-- list_links --
-- The links of some tasks to those they came from. Index: task_link_task, task_identity.
SELECT coalesce(
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id AND p.engine_id = t.engine_id AND p.life = 0
      AND p.first_at <= t.first_at),
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id AND p.engine_id = t.engine_id AND p.life > 0
      AND p.first_at <= t.first_at ORDER BY p.life DESC LIMIT 1),
    (SELECT p.id FROM task AS p WHERE p.task_id = l.target AND p.app_id = l.app_id ORDER BY p.engine_id, p.life LIMIT 1)), t.id, l.kind
FROM json_each(:ids) AS j CROSS JOIN task AS t ON t.id = j.value CROSS JOIN task_link AS l ON l.task = t.id;

-- read_workflow_tasks --
-- What a drawing shows of some tasks. Index: the primary key.
SELECT t.id, t.task_id, n.text, e.text, t.state_key, t.first_at, t.runtime_us, t.sent
FROM json_each(:ids) AS j CROSS JOIN task AS t ON t.id = j.value
  LEFT JOIN name AS n ON n.id = t.name_id LEFT JOIN name AS e ON e.id = t.engine_id;

-- find_dependency --
-- A task that another one of the same app and engine waits for; of an id that came again its newest execution. Index: task_identity.
SELECT d.id FROM task AS t CROSS JOIN task AS d ON d.task_id = :task_id AND d.app_id = t.app_id AND d.engine_id = t.engine_id
WHERE t.id = :id ORDER BY d.life LIMIT 1;

-- list_members --
-- The groups of some tasks, with all their members. Index: task_relation_task, the primary key of task_relation.
SELECT m.target, m.task FROM (
  SELECT DISTINCT g.app_id, g.target FROM json_each(:ids) AS j CROSS JOIN task_relation AS g ON g.task = j.value AND g.kind = 'group') AS known
  CROSS JOIN task_relation AS m ON m.app_id = known.app_id AND m.kind = 'group' AND m.target = known.target LIMIT :most;
