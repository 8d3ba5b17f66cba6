-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_agent_token --
-- The app an agent's token speaks for, unless it was revoked or has expired.
SELECT t.id, a.id, a.name, coalesce(a.seal_key_id, '') FROM token AS t JOIN app AS a ON a.id = t.app_id
WHERE t.secret_hash = :hash AND t.kind = 'agent' AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > :at);

-- find_api_token --
-- The role of an API token, unless it was revoked or has expired.
SELECT id, label, role FROM token
WHERE secret_hash = :hash AND kind = 'api' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :at);

-- add_token --
-- A new token, by its hash.
INSERT INTO token (kind, secret_hash, label, hint, app_id, role, created_at, created_by, expires_at)
VALUES (:kind, :hash, :label, :hint, :app_id, :role, :at, :by, :expires_at) RETURNING id;

-- touch_token --
-- When it was last used, to the minute.
UPDATE token SET used_at = :at WHERE id = :id AND (used_at IS NULL OR used_at < :at - 60000000);

-- revoke_token --
-- It stops working now; the row stays for the audit.
UPDATE token SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL RETURNING kind, label, app_id;

-- list_tokens --
-- Every token, newest first, without anything secret.
SELECT t.id, t.kind, t.label, t.hint, coalesce(a.name, ''), coalesce(t.role, ''), t.created_at, t.created_by, t.expires_at,
  t.used_at, t.revoked_at
FROM token AS t LEFT JOIN app AS a ON a.id = t.app_id ORDER BY t.revoked_at IS NOT NULL, t.id DESC LIMIT :limit;
