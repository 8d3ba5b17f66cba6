-- SPDX-License-Identifier: AGPL-3.0-or-later
-- set_state --
-- The state that a person gives to a group. Index: the primary key.
UPDATE error_group SET state = :state, state_at = :at, state_by = :actor, releases = :releases, ignore_until = :until, ignore_rate = :rate,
  ignore_total = :total WHERE id = :id AND merged_into IS NULL;

-- set_assigned --
-- The assigned user.
UPDATE error_group SET assigned_to = :value WHERE id = :id AND merged_into IS NULL;

-- set_note --
-- The note and the link that stay with it.
UPDATE error_group SET note = :note, runbook = :runbook WHERE id = :id AND merged_into IS NULL;

-- move_fingerprints --
-- A merge: the fingerprints of a group belong to another one. Index: error_fingerprint_group.
UPDATE error_fingerprint SET error_group = :target WHERE error_group = :id;

-- return_fingerprints --
-- A split: those that a group was made with belong to it again. Index: error_fingerprint_group.
UPDATE error_fingerprint SET error_group = :id WHERE error_group = :target AND home IN (
  SELECT :id UNION SELECT id FROM error_group WHERE merged_into = :id);

-- set_merged --
-- Which group shows this one.
UPDATE error_group SET merged_into = :target WHERE id = :id AND merged_into IS :expected
  AND app_id = (SELECT app_id FROM error_group WHERE id = :other AND merged_into IS NULL);

-- sum_again --
-- The counts of a group, from those of its fingerprints. Index: error_fingerprint_group.
UPDATE error_group SET (stored, failed, retried, cured, first_at, last_at) = (
  SELECT coalesce(sum(stored), 0), coalesce(sum(failed), 0), coalesce(sum(retried), 0), coalesce(sum(cured), 0),
    coalesce(min(first_at), error_group.first_at), coalesce(max(last_at), error_group.last_at)
  FROM error_fingerprint AS f WHERE f.error_group = :id) WHERE id = :id;

-- list_ignored --
-- Ignored groups whose ignoring may end. Scans groups only.
SELECT g.id, g.ignore_until, g.ignore_rate, g.ignore_total, g.failed, (
  SELECT coalesce(sum(h.failed), 0) FROM error_fingerprint AS f JOIN error_hour AS h ON h.fingerprint = f.id AND h.hour = :hour
  WHERE f.error_group = g.id)
FROM error_group AS g WHERE g.state = 2 AND (g.ignore_until IS NOT NULL OR g.ignore_rate IS NOT NULL OR g.ignore_total IS NOT NULL);

-- end_ignoring --
-- One of them is unresolved again.
UPDATE error_group SET state = 0, state_at = :at, state_by = '', ignore_until = NULL, ignore_rate = NULL, ignore_total = NULL
WHERE id = :id AND state = 2;

-- list_backlog --
-- Tasks below a row that may have failures, the newest first, and the row that was reached. Index: the primary keys.
SELECT t.id, t.state IN (5, 6, 10, 11) OR EXISTS (SELECT 1 FROM run AS r WHERE r.task = t.id)
FROM task AS t WHERE t.id < :task ORDER BY t.id DESC LIMIT :limit;

-- put_backlog --
-- Stores the progress.
UPDATE error_backlog SET task = :task;

-- end_backlog --
-- All are grouped.
DELETE FROM error_backlog;
