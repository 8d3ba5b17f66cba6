-- SPDX-License-Identifier: AGPL-3.0-or-later
-- put_original --
-- The engine's own message; the greatest key stays, of equal ones the greatest bytes (any order gives the same).
INSERT INTO original (task, key, data, key_id, broker_id) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET key = excluded.key, data = excluded.data, key_id = excluded.key_id, broker_id = excluded.broker_id
WHERE (excluded.key, excluded.data, excluded.key_id) > (key, data, key_id);

-- get_original --
-- The engine's own message of one task. An earlier release stored brokers beyond the limit as '(others)', which means unknown.
SELECT o.data, o.key_id, CASE WHEN t.queue_rank >= :moved THEN q.text END, nullif(b.text, '(others)')
FROM original AS o JOIN task AS t ON t.id = o.task
  LEFT JOIN name AS q ON q.id = t.queue_id LEFT JOIN name AS b ON b.id = o.broker_id WHERE o.task = :task;

-- broker_of --
-- The broker of the original of a task; no row if no original is stored.
SELECT nullif(b.text, '(others)') FROM original AS o LEFT JOIN name AS b ON b.id = o.broker_id WHERE o.task = :task;

-- read_originals --
-- The kept messages of some tasks.
SELECT o.task, o.data, o.key_id, CASE WHEN t.queue_rank >= :moved THEN q.text END, nullif(b.text, '(others)')
FROM json_each(:ids) AS wanted
  JOIN original AS o ON o.task = wanted.value JOIN task AS t ON t.id = o.task LEFT JOIN name AS q ON q.id = t.queue_id
  LEFT JOIN name AS b ON b.id = o.broker_id;

-- read_brokers --
-- The brokers of some tasks, where their kept messages say. Index: the primary key.
SELECT o.task, b.text FROM json_each(:ids) AS wanted JOIN original AS o ON o.task = wanted.value JOIN name AS b ON b.id = o.broker_id
WHERE b.text != '(others)';
