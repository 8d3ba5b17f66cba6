-- SPDX-License-Identifier: AGPL-3.0-or-later
-- last_head --
-- The newest signed head.
SELECT seq, at, digest, key_id, signature FROM audit_head ORDER BY seq DESC LIMIT 1;

-- list_heads --
-- Every signed head, oldest first: for verification and export.
SELECT seq, at, digest, key_id, signature FROM audit_head ORDER BY seq;

-- find_head --
-- A head that somebody kept, if the log still reaches that far and signed the same.
SELECT 1 FROM audit_head WHERE seq = :seq AND digest = :digest AND EXISTS (SELECT 1 FROM audit WHERE seq >= :seq);

-- add_head --
-- Another signed head.
INSERT INTO audit_head (seq, at, digest, key_id, signature) VALUES (:seq, :at, :digest, :key_id, :signature);

-- walk_behind_head --
-- Rows that no head covers yet, oldest first.
SELECT seq, at, actor, role, action, target, outcome, detail, address, key_id, mac FROM audit WHERE seq > :after ORDER BY seq;
