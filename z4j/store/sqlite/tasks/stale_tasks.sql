-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_due --
-- Scheduled tasks whose time has come. Index: task_due.
SELECT t.id, t.life = 0, t.started_at, t.app_id, g.text, t.task_id, t.state_key, t.eta_at, b.boot, t.pid, w.text
FROM task AS t INDEXED BY task_due JOIN name AS g ON g.id = t.engine_id LEFT JOIN boot AS b ON b.id = t.boot_id
  LEFT JOIN name AS w ON w.id = t.worker_id
WHERE t.state = 1 AND t.eta_at <= :at ORDER BY t.eta_at LIMIT :limit;

-- list_orphaned --
-- Tasks held by a process that is gone, where that is proven: it is not connected, a newer process of its environment has its worker's
-- name, and the process that ships its spool since has (next to) nothing left to send. Index: task_held.
SELECT t.id, t.life = 0, t.started_at, t.app_id, g.text, t.task_id, t.state_key, t.last_at, b.boot, t.pid, w.text, e.text, a.host, a.left_at, a.left_reason
FROM task AS t INDEXED BY task_held JOIN boot AS b ON b.id = t.boot_id
  JOIN agent AS a ON a.app_id = b.app_id AND a.boot = b.boot
  JOIN name AS g ON g.id = t.engine_id LEFT JOIN name AS w ON w.id = t.worker_id LEFT JOIN name AS e ON e.id = t.environment_id
WHERE t.state IN (3, 4) AND a.left_at IS NOT NULL
  AND EXISTS (SELECT 1 FROM boot AS n WHERE n.app_id = b.app_id AND n.worker_id = b.worker_id AND n.worker_id != 0
    AND n.environment_id = b.environment_id AND n.at > b.at)
  AND EXISTS (SELECT 1 FROM agent AS s WHERE s.app_id = a.app_id AND s.spool = a.spool AND s.is_shipper = 1
    AND s.left_at IS NULL AND s.seen_at > a.left_at + :settle AND s.spool_bytes <= :rest)
LIMIT :limit;

-- list_timed_out --
-- Tasks held by a process that left too long ago to be waited for. Index: task_held.
SELECT t.id, t.life = 0, t.started_at, t.app_id, g.text, t.task_id, t.state_key, t.last_at, b.boot, t.pid, w.text, e.text, a.host, a.left_at, a.left_reason
FROM task AS t INDEXED BY task_held JOIN boot AS b ON b.id = t.boot_id
  JOIN agent AS a ON a.app_id = b.app_id AND a.boot = b.boot
  JOIN name AS g ON g.id = t.engine_id LEFT JOIN name AS w ON w.id = t.worker_id LEFT JOIN name AS e ON e.id = t.environment_id
WHERE t.state IN (3, 4) AND a.left_at < :since AND t.last_at < :since
LIMIT :limit;

-- list_disconnected --
-- Tasks held by a process that is no longer connected, whether or not it is proven gone. Index: task_held.
SELECT t.id, t.life = 0, t.started_at, t.app_id, g.text, t.task_id, t.state_key, t.last_at, b.boot, t.pid, w.text, e.text, a.host, a.left_at, a.left_reason
FROM task AS t INDEXED BY task_held JOIN boot AS b ON b.id = t.boot_id
  JOIN agent AS a ON a.app_id = b.app_id AND a.boot = b.boot
  JOIN name AS g ON g.id = t.engine_id LEFT JOIN name AS w ON w.id = t.worker_id LEFT JOIN name AS e ON e.id = t.environment_id
WHERE t.state IN (3, 4) AND a.left_at < :before
ORDER BY a.left_at LIMIT :limit;

-- list_held --
-- Tasks that a connected worker once took and was not heard of since; whether it still lists them is for the caller to
-- see. Its spool is being shipped. Index: task_held.
SELECT t.id, t.life = 0, t.started_at, t.app_id, g.text, t.task_id, t.state_key, t.last_at, b.boot, t.pid, w.text, e.text, a.host, a.left_at, a.left_reason
FROM task AS t INDEXED BY task_held JOIN boot AS b ON b.id = t.boot_id
  JOIN agent AS a ON a.app_id = b.app_id AND a.boot = b.boot
  JOIN name AS g ON g.id = t.engine_id LEFT JOIN name AS w ON w.id = t.worker_id LEFT JOIN name AS e ON e.id = t.environment_id
WHERE t.state IN (3, 4) AND a.left_at IS NULL AND a.pool != ''
  AND t.last_at < a.seen_at - a.clock_skew_us - :settle AND a.seen_at > a.connected_at + :settle
  AND EXISTS (SELECT 1 FROM agent AS s WHERE s.app_id = a.app_id AND s.spool = a.spool AND s.is_shipper = 1
    AND s.left_at IS NULL AND s.spool_bytes <= :rest)
LIMIT :limit;

-- list_lost --
-- Tasks said to be lost not long ago, which a worker may still turn out to hold; of an id that came again the newest. Index: task_state.
SELECT t.id, t.life = 0, t.started_at, t.app_id, g.text, t.task_id, t.state_key, t.last_at, b.boot, t.pid, w.text
FROM task AS t JOIN name AS g ON g.id = t.engine_id LEFT JOIN boot AS b ON b.id = t.boot_id
  LEFT JOIN name AS w ON w.id = t.worker_id
WHERE t.state = 6 AND t.life = 0 AND t.first_at >= :since ORDER BY t.first_at DESC LIMIT :limit;

-- list_running --
-- What the connected workers say they hold.
SELECT a.app_id, a.boot, w.text, a.running
FROM agent AS a LEFT JOIN name AS w ON w.id = a.worker_id WHERE a.left_at IS NULL AND a.running != '[]';
