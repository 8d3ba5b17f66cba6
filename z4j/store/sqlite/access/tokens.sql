-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_agent_token --
-- The app an agent's token speaks for, unless it was revoked, has expired, or its app is disabled.
SELECT t.id, a.id, a.name, coalesce(a.seal_key_id, '') FROM token AS t JOIN app AS a ON a.id = t.app_id
WHERE t.secret_hash = :hash AND t.kind = 'agent' AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > :at)
  AND a.disabled_at IS NULL;

-- list_valid_agent_tokens --
-- Which of these tokens still work, as JSON [id]: asked while agents are connected with them. Index: the primary key.
SELECT t.id FROM json_each(:ids) AS i JOIN token AS t ON t.id = i.value JOIN app AS a ON a.id = t.app_id
WHERE t.kind = 'agent' AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > :at) AND a.disabled_at IS NULL;

-- find_api_token --
-- An API token and the role its owner has now, unless it was revoked, has expired, or its owner is disabled or deleted.
SELECT t.id, t.label, t.role, coalesce(u.role, ''), t.used_at FROM token AS t LEFT JOIN user AS u ON u.id = t.owner_id
WHERE t.secret_hash = :hash AND t.kind = 'api' AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > :at)
  AND (t.owner_id IS NULL OR (u.id IS NOT NULL AND u.disabled_at IS NULL));

-- add_token --
-- A new token, by its hash.
INSERT INTO token (kind, secret_hash, label, hint, app_id, role, created_at, created_by, expires_at, owner_id)
VALUES (:kind, :hash, :label, :hint, :app_id, :role, :at, :by, :expires_at, :owner_id) RETURNING id;

-- touch_token --
-- When it was last used, to the minute.
UPDATE token SET used_at = :at WHERE id = :id AND (used_at IS NULL OR used_at < :at - 60000000);

-- revoke_token --
-- It stops working now; the row stays for the audit.
UPDATE token SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL RETURNING kind, label, app_id;

-- list_tokens --
-- Every token, newest first, without anything secret.
SELECT t.id, t.kind, t.label, t.hint, coalesce(a.name, ''), coalesce(t.role, ''), t.created_at, t.created_by, t.expires_at,
  t.used_at, t.revoked_at, coalesce(u.name, '')
FROM token AS t LEFT JOIN app AS a ON a.id = t.app_id LEFT JOIN user AS u ON u.id = t.owner_id ORDER BY t.revoked_at IS NOT NULL, t.id DESC LIMIT :limit;
