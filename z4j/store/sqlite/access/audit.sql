-- SPDX-License-Identifier: AGPL-3.0-or-later
-- last_audit --
-- The end of the chain.
SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1;

-- add_audit --
-- One action.
INSERT INTO audit (seq, at, actor, role, action, target, outcome, detail, address, key_id, mac)
VALUES (:seq, :at, :actor, :role, :action, :target, :outcome, :detail, :address, :key_id, :mac);

-- list_audit --
-- Newest first, before a row.
SELECT seq, at, actor, role, action, target, outcome, detail, address, key_id, mac FROM audit
WHERE seq < :before ORDER BY seq DESC LIMIT :limit;

-- walk_audit --
-- Oldest first, after a row: for the verification.
SELECT seq, at, actor, role, action, target, outcome, detail, address, key_id, mac FROM audit
WHERE seq > :after ORDER BY seq LIMIT :limit;
