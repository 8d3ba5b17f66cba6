-- SPDX-License-Identifier: AGPL-3.0-or-later
-- put_delivery --
-- An attempt. Index: the primary key.
INSERT INTO forward_delivery (target_id, stream, seq, what, at, attempts, delivered_at, outcome, error) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)
ON CONFLICT DO UPDATE SET attempts = attempts + 1, delivered_at = excluded.delivered_at, outcome = excluded.outcome, error = excluded.error;

-- read_attempts --
-- How often a message was tried. Index: the primary key.
SELECT attempts FROM forward_delivery WHERE target_id = :id AND stream = :stream AND seq = :seq;

-- list_deliveries --
-- The newest ones. Index: forward_delivery_at.
SELECT t.name, d.stream, d.seq, d.what, d.at, d.attempts, d.delivered_at, d.outcome, d.error
FROM forward_delivery AS d JOIN forward_target AS t ON t.id = d.target_id ORDER BY d.at DESC, d.seq DESC LIMIT :limit;

-- delete_old --
-- Some of before a time. Index: forward_delivery_at.
DELETE FROM forward_delivery WHERE (target_id, stream, seq) IN (
  SELECT target_id, stream, seq FROM forward_delivery WHERE at < :before ORDER BY at LIMIT :limit);
