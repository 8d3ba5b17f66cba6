-- SPDX-License-Identifier: AGPL-3.0-or-later
-- last_checkpoint --
-- The newest checkpoint.
SELECT number, seq, at, digest, previous, key_id, signature FROM audit_head ORDER BY number DESC LIMIT 1;

-- list_checkpoints --
-- Checkpoints after a number, oldest first: for verification and export.
SELECT number, seq, at, digest, previous, key_id, signature FROM audit_head WHERE number > :after ORDER BY number LIMIT :limit;

-- get_checkpoint --
-- One checkpoint by its number.
SELECT number, seq, at, digest, previous, key_id, signature FROM audit_head WHERE number = :number;

-- find_checkpoint --
-- A remembered checkpoint, if the log still reaches that far and signed the same.
SELECT 1 FROM audit_head WHERE seq = :seq AND digest = :digest AND EXISTS (SELECT 1 FROM audit WHERE seq >= :seq);

-- add_checkpoint --
-- Another checkpoint.
INSERT INTO audit_head (number, seq, at, digest, previous, key_id, signature)
VALUES (:number, :seq, :at, :digest, :previous, :key_id, :signature);

-- mac_at --
-- The MAC of one row.
SELECT mac FROM audit WHERE seq = :seq;
