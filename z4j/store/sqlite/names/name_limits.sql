-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The names an app has, of each kind: what tasks, processes, brokers and registered tasks refer to now.
-- list_name --
-- Task names. Index: the primary keys.
SELECT n.id, n.text FROM name AS n WHERE n.id IN (
  SELECT name_id FROM counter WHERE app_id = :app_id AND tasks != 0 UNION SELECT name_id FROM task_name WHERE app_id = :app_id);

-- list_queue --
-- Queues. Index: the primary keys.
SELECT n.id, n.text FROM name AS n WHERE n.id IN (
  SELECT queue_id FROM counter WHERE app_id = :app_id AND tasks != 0 UNION SELECT queue_id FROM queue WHERE app_id = :app_id
  UNION SELECT queue_id FROM task_name WHERE app_id = :app_id);

-- list_worker --
-- Workers. Index: the unique ones on (app_id, boot).
SELECT n.id, n.text FROM name AS n WHERE n.id IN (
  SELECT worker_id FROM boot WHERE app_id = :app_id UNION SELECT worker_id FROM agent WHERE app_id = :app_id);

-- list_environment --
-- Environments. Index: the primary keys, and the unique ones on (app_id, boot).
SELECT n.id, n.text FROM name AS n WHERE n.id IN (
  SELECT environment_id FROM counter WHERE app_id = :app_id AND tasks != 0 UNION SELECT environment_id FROM queue WHERE app_id = :app_id
  UNION SELECT environment_id FROM boot WHERE app_id = :app_id UNION SELECT environment_id FROM agent WHERE app_id = :app_id
  UNION SELECT environment_id FROM task_name WHERE app_id = :app_id);

-- list_release --
-- Releases. Index: the unique ones on (app_id, boot).
SELECT n.id, n.text FROM name AS n WHERE n.id IN (
  SELECT release_id FROM boot WHERE app_id = :app_id UNION SELECT release_id FROM agent WHERE app_id = :app_id);

-- list_engine --
-- Engines. Index: the primary keys.
SELECT n.id, n.text FROM name AS n WHERE n.id IN (
  SELECT engine_id FROM counter WHERE app_id = :app_id AND tasks != 0 UNION SELECT engine_id FROM queue WHERE app_id = :app_id
  UNION SELECT engine_id FROM task_name WHERE app_id = :app_id);

-- list_broker --
-- Brokers, of queues and of the newest 2,000 tasks of all apps: reading every original of an app takes too long. A broker that is missing
-- here takes its place again when it is next named. CROSS JOIN keeps the order. Index: the primary keys.
SELECT DISTINCT n.id, n.text FROM original AS o CROSS JOIN task AS t ON t.id = o.task CROSS JOIN name AS n ON n.id = o.broker_id
WHERE o.task > (SELECT max(id) FROM task) - 2000 AND t.app_id = :app_id
UNION SELECT n.id, n.text FROM queue AS q JOIN name AS n ON n.id = q.broker_id WHERE q.app_id = :app_id;
