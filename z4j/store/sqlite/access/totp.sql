-- SPDX-License-Identifier: AGPL-3.0-or-later
-- get_totp --
-- The second step of a person, confirmed or not.
SELECT secret, confirmed_at, last_step FROM totp WHERE user_id = :user_id;

-- put_totp --
-- A new secret, not confirmed; one that was confirmed stays.
INSERT INTO totp (user_id, secret, created_at) VALUES (:user_id, :secret, :at)
ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at, last_step = 0
WHERE confirmed_at IS NULL;

-- confirm_totp --
-- The first code was right: from now on one is asked for.
UPDATE totp SET confirmed_at = :at WHERE user_id = :user_id;

-- use_step --
-- A code is used up; only the first caller gets a row. A last step beyond :newest is of a clock that was set back since.
UPDATE totp SET last_step = :step WHERE user_id = :user_id AND (last_step < :step OR last_step > :newest) RETURNING 1;

-- delete_totp --
-- Deletes the second factor.
DELETE FROM totp WHERE user_id = :user_id;

-- delete_recovery_codes --
-- The old ones, used or not.
DELETE FROM recovery_code WHERE user_id = :user_id;

-- add_recovery_code --
-- One of a new set.
INSERT INTO recovery_code (user_id, code_hash) VALUES (:user_id, :hash);

-- use_recovery_code --
-- Uses one up; only the first caller gets a row.
UPDATE recovery_code SET used_at = :at WHERE user_id = :user_id AND code_hash = :hash AND used_at IS NULL RETURNING 1;

-- count_recovery_codes --
-- How many still work.
SELECT count(*) FROM recovery_code WHERE user_id = :user_id AND used_at IS NULL;
