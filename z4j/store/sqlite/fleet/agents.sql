-- SPDX-License-Identifier: AGPL-3.0-or-later
-- put_agent --
-- A process that said hello, for the first time or again.
INSERT INTO agent (app_id, boot, spool, host, pid, role, worker_id, environment_id, release_id, engines, capabilities,
  allow, denied, seal_key, agent_version, notes, is_shipper, clock_skew_us, seat, pins, began_at, connected_at, seen_at)
VALUES (:app_id, :boot, :spool, :host, :pid, :role, :worker_id, :environment_id, :release_id, :engines, :capabilities,
  :allow, :denied, :seal_key, :agent_version, :notes, :is_shipper, :skew, :seat, :pins, :at, :at, :at)
ON CONFLICT (app_id, boot) DO UPDATE SET spool = excluded.spool, role = excluded.role, worker_id = excluded.worker_id, seat = excluded.seat,
  environment_id = excluded.environment_id, release_id = excluded.release_id, engines = excluded.engines,
  capabilities = excluded.capabilities, allow = excluded.allow, denied = excluded.denied, seal_key = excluded.seal_key,
  agent_version = excluded.agent_version, notes = excluded.notes, is_shipper = excluded.is_shipper,
  clock_skew_us = excluded.clock_skew_us, pins = excluded.pins, connected_at = excluded.connected_at, seen_at = excluded.seen_at,
  left_at = NULL, left_reason = '', is_orderly = 0
RETURNING id;

-- put_heartbeat --
-- Still here, holding this.
UPDATE agent SET seen_at = :at, running = coalesce(:running, running), spool_bytes = :spool_bytes, dropped = :dropped, faults = :faults,
  is_shipper = :is_shipper, left_at = NULL, left_reason = '', is_orderly = 0
WHERE app_id = :app_id AND boot = :boot RETURNING environment_id;

-- put_worker --
-- What kind of worker a process is.
UPDATE agent SET seen_at = :at, pool = :pool, concurrency = :concurrency, queues = :queues, worker_notes = :notes, options = :options
WHERE app_id = :app_id AND boot = :boot;

-- find_agent --
-- The environment of an agent, by its boot.
SELECT environment_id FROM agent WHERE app_id = :app_id AND boot = :boot;

-- put_left --
-- The connection ended.
UPDATE agent SET left_at = :at, left_reason = :reason, is_orderly = :is_orderly, running = '[]'
WHERE app_id = :app_id AND boot = :boot AND left_at IS NULL;

-- put_all_left --
-- The server starts: agents that were connected to the previous process are not connected to this one.
UPDATE agent SET left_at = :at, left_reason = :reason WHERE left_at IS NULL;

-- put_silent --
-- Connections from which nothing came for too long. Index: agent_seen.
UPDATE agent SET left_at = :at, left_reason = :reason WHERE left_at IS NULL AND seen_at < :since
RETURNING id;

-- put_task_name --
-- A registered task as an agent just described it.
INSERT INTO task_name (app_id, name_id, engine_id, environment_id, signature, doc, queue_id, seen_at, proof) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET signature = excluded.signature, doc = excluded.doc, queue_id = excluded.queue_id,
  seen_at = excluded.seen_at, proof = CASE WHEN excluded.proof = '' THEN proof ELSE excluded.proof END;

-- read_proofs --
-- The proofs of some names, by engine. Index: name's unique one, then the primary key.
SELECT n.text, e.text, t.proof FROM name AS n JOIN task_name AS t ON t.name_id = n.id JOIN name AS e ON e.id = t.engine_id
WHERE n.kind = 'name' AND n.text IN (SELECT value FROM json_each(:names)) AND t.app_id = :app_id AND t.proof != '';

-- list_agents --
-- Processes seen since then, connected ones first. Index: agent_seen.
SELECT a.id, a.app_id, p.name, a.boot, a.spool, a.host, a.pid, a.role, w.text, e.text, r.text, a.engines,
  a.capabilities, a.allow, a.denied, a.seal_key, coalesce(p.seal_key_id, ''), a.agent_version, a.notes, a.worker_notes,
  a.pool, a.concurrency, a.queues, a.running, a.spool_bytes, a.dropped, a.faults, a.is_shipper, a.clock_skew_us,
  a.seat, a.began_at, a.connected_at, a.seen_at, a.left_at, a.left_reason, a.is_orderly, a.options
FROM agent AS a JOIN app AS p ON p.id = a.app_id LEFT JOIN name AS w ON w.id = a.worker_id
  LEFT JOIN name AS e ON e.id = a.environment_id LEFT JOIN name AS r ON r.id = a.release_id
WHERE a.seen_at >= :since AND (:ids IS NULL OR a.id IN (SELECT value FROM json_each(:ids)))
ORDER BY a.left_at IS NOT NULL, p.name, w.text, a.connected_at DESC;

-- list_pins --
-- Processes seen since then whose pins lack one. One that left does not count if another of the same host or seat came after it.
-- Index: agent_seen.
SELECT p.name, e.text, a.host, a.pid, w.text, a.role, a.agent_version, a.pins IS NOT NULL, a.seen_at, a.left_at
FROM agent AS a JOIN app AS p ON p.id = a.app_id LEFT JOIN name AS w ON w.id = a.worker_id LEFT JOIN name AS e ON e.id = a.environment_id
WHERE a.seen_at >= :since
  AND NOT EXISTS (SELECT 1 FROM json_each(coalesce(a.pins, '[]')) AS j WHERE j.value = :pin)
  AND (a.left_at IS NULL OR NOT EXISTS (
    SELECT 1 FROM agent AS b WHERE b.seen_at >= a.seen_at AND b.id > a.id AND b.app_id = a.app_id AND b.environment_id IS a.environment_id
      AND b.role = a.role AND ((b.host = a.host AND b.worker_id IS a.worker_id) OR (a.seat != '' AND b.seat = a.seat))))
ORDER BY a.left_at IS NOT NULL, p.name, e.text, a.host, a.pid LIMIT :limit;

-- list_processes --
-- What decides which processes are a row: all of those seen since then, or those of one worker name, with how many tasks each has started.
-- Index: agent_seen.
SELECT a.id, a.app_id, p.name, coalesce(e.text, ''), coalesce(w.text, ''), a.role, a.seat, a.began_at, a.connected_at, a.seen_at, a.left_at,
  a.left_reason, a.is_orderly, a.concurrency, CASE WHEN a.running = '[]' THEN 0 ELSE (SELECT count(*) FROM json_each(a.running) AS j
    WHERE j.value ->> 5 > 0) END, a.engines
FROM agent AS a JOIN app AS p ON p.id = a.app_id LEFT JOIN name AS w ON w.id = a.worker_id LEFT JOIN name AS e ON e.id = a.environment_id
WHERE a.seen_at >= :since AND (:worker IS NULL OR w.text = :worker);

-- count_connected --
-- How many processes are connected, and whether any was seen since then. Index: agent_seen.
SELECT count(*) FILTER (WHERE left_at IS NULL), count(*) FROM agent WHERE seen_at >= :since;

-- count_of_app --
-- How many processes of an app are known. Index: the unique one on (app_id, boot).
SELECT count(*) FROM agent WHERE app_id = :app_id;

-- forget_some --
-- Some processes of an app that left, the longest ago first; of equal ones those that said goodbye: nothing of theirs has to be looked for.
DELETE FROM agent WHERE id IN (
  SELECT id FROM agent WHERE app_id = :app_id AND left_at IS NOT NULL ORDER BY left_at, is_orderly DESC, seen_at LIMIT :limit);

-- list_task_names --
-- What the apps have registered, so many of each.
SELECT app, environment, engine, name, signature, doc, queue, seen_at FROM (
  SELECT p.name AS app, v.text AS environment, e.text AS engine, n.text AS name, t.signature, t.doc, q.text AS queue, t.seen_at,
    row_number() OVER (PARTITION BY t.app_id ORDER BY e.text, n.text, v.text) AS place
  FROM task_name AS t JOIN app AS p ON p.id = t.app_id JOIN name AS e ON e.id = t.engine_id
    JOIN name AS n ON n.id = t.name_id LEFT JOIN name AS q ON q.id = t.queue_id LEFT JOIN name AS v ON v.id = t.environment_id
) WHERE place <= :limit ORDER BY app, engine, name, environment;

-- list_named --
-- A registered task, in any app. Index: name's unique one, then the primary key.
SELECT p.name, v.text, e.text, n.text, t.signature, t.doc, q.text, t.seen_at
FROM name AS n CROSS JOIN app AS p CROSS JOIN task_name AS t ON t.app_id = p.id AND t.name_id = n.id
  JOIN name AS e ON e.id = t.engine_id LEFT JOIN name AS q ON q.id = t.queue_id LEFT JOIN name AS v ON v.id = t.environment_id
WHERE n.kind = 'name' AND n.text = :name ORDER BY p.name, e.text, v.text LIMIT :limit;

-- find_task_name --
-- One registered task in each environment that has it. Index: name's unique one, then the primary key.
SELECT p.name, v.text, e.text, n.text, t.signature, t.doc, q.text, t.seen_at
FROM app AS p JOIN name AS n ON n.kind = 'name' AND n.text = :name JOIN name AS e ON e.kind = 'engine' AND e.text = :engine
  JOIN task_name AS t ON t.app_id = p.id AND t.name_id = n.id AND t.engine_id = e.id
  LEFT JOIN name AS q ON q.id = t.queue_id LEFT JOIN name AS v ON v.id = t.environment_id
WHERE p.name = :app ORDER BY t.seen_at DESC LIMIT 100;

-- list_sittings --
-- One process of each worker name and environment seen since then, as `rules/worker_succession.py` wants it: the newest that is connected, else the
-- newest. Index: agent_seen, agent_worker.
SELECT a.app_id, a.environment_id, a.seat, a.began_at, a.seen_at, a.left_at, a.left_reason, a.is_orderly FROM agent AS a
WHERE a.seen_at >= :since AND a.role = 'worker' AND NOT EXISTS (SELECT 1 FROM agent AS b WHERE b.app_id = a.app_id
  AND b.worker_id = a.worker_id AND b.environment_id = a.environment_id AND b.role = 'worker'
  AND (b.left_at IS NULL, b.connected_at, b.id) > (a.left_at IS NULL, a.connected_at, a.id));
