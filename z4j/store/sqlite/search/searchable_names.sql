-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_names --
-- Task names, at most some thousands. Index: the unique one on (kind, text).
SELECT text FROM name WHERE kind = 'name' AND text > '' ORDER BY text LIMIT :limit;

-- list_names_from --
-- Task names that begin with a text: those beyond the list above. Index: the unique one on (kind, text).
SELECT text FROM name WHERE kind = 'name' AND text >= :prefix AND text < :prefix || char(0x10ffff) ORDER BY text LIMIT :limit;

-- list_queues --
-- Queues that a broker reported, each once. A table of at most some thousands; index: the primary keys.
SELECT DISTINCT a.name, coalesce(e.text, ''), coalesce(g.text, ''), n.text
FROM queue AS q JOIN app AS a ON a.id = q.app_id JOIN name AS n ON n.id = q.queue_id
  LEFT JOIN name AS e ON e.id = q.environment_id LEFT JOIN name AS g ON g.id = q.engine_id LIMIT :limit;

-- list_workers --
-- Workers seen since a time, each once. Index: agent_seen.
SELECT DISTINCT a.name, coalesce(e.text, ''), w.text
FROM agent AS p JOIN app AS a ON a.id = p.app_id JOIN name AS w ON w.id = p.worker_id LEFT JOIN name AS e ON e.id = p.environment_id
WHERE p.seen_at >= :since AND p.role = 'worker' LIMIT :limit;

-- list_schedules --
-- Schedules that were not deleted. A table of at most some thousands.
SELECT s.id, s.name, a.name, s.environment, s.scheduler, s.task_name FROM schedule AS s JOIN app AS a ON a.id = s.app_id
WHERE s.gone_at IS NULL LIMIT :limit;

-- list_errors --
-- Errors seen last. Index: error_group_last.
SELECT g.id, g.title, a.name, g.state FROM error_group AS g JOIN app AS a ON a.id = g.app_id
WHERE g.merged_into IS NULL ORDER BY g.last_at DESC LIMIT :limit;

-- list_releases --
-- Releases, the newest first. A table of at most some thousands; index: the unique one on (kind, text).
SELECT text FROM name WHERE kind = 'release' ORDER BY id DESC LIMIT :limit;

-- list_task_ids --
-- Tasks whose stored id lies in a range. Index: task_identity.
SELECT t.id, t.task_id, coalesce(n.text, ''), a.name, t.state
FROM task AS t JOIN app AS a ON a.id = t.app_id LEFT JOIN name AS n ON n.id = t.name_id
WHERE t.task_id >= :low AND t.task_id < :high ORDER BY t.task_id LIMIT :limit;
