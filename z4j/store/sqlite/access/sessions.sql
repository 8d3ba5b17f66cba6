-- SPDX-License-Identifier: AGPL-3.0-or-later
-- add_session --
-- A user signed in.
INSERT INTO session (id_hash, user_id, created_at, seen_at, expires_at, address, client)
VALUES (:hash, :user_id, :at, :at, :expires_at, :address, :client);

-- find_session --
-- The owner of a session, unless it expired, was idle too long, or its owner may no longer sign in.
SELECT s.user_id, u.name, u.role, s.seen_at, u.time_zone, coalesce(u.news_at, u.created_at) FROM session AS s JOIN user AS u ON u.id = s.user_id
WHERE s.id_hash = :hash AND s.expires_at > :at AND s.seen_at > :idle_since AND u.disabled_at IS NULL;

-- touch_session --
-- Still in use.
UPDATE session SET seen_at = :at WHERE id_hash = :hash;

-- end_session --
-- Signed out.
DELETE FROM session WHERE id_hash = :hash;

-- end_sessions_of --
-- Everything of one person ends: disabled, or another password.
DELETE FROM session WHERE user_id = :user_id;

-- end_old_sessions --
-- What has run out.
DELETE FROM session WHERE expires_at <= :at;

-- add_link --
-- A link that works once.
INSERT INTO login_link (secret_hash, purpose, user_id, expires_at) VALUES (:hash, :purpose, :user_id, :expires_at);

-- use_link --
-- Uses a link up: only the first caller gets a row.
UPDATE login_link SET used_at = :at WHERE secret_hash = :hash AND purpose = :purpose AND used_at IS NULL AND expires_at > :at
RETURNING coalesce(user_id, 0);

-- check_link --
-- Whether a link would still work.
SELECT 1 FROM login_link WHERE secret_hash = :hash AND purpose = :purpose AND used_at IS NULL AND expires_at > :at;
