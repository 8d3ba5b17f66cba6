-- SPDX-License-Identifier: AGPL-3.0-or-later
-- find_boot --
-- The boot behind a run token. Index: the unique one on (app_id, boot).
SELECT id, worker_id, environment_id, is_known, host FROM boot WHERE app_id = :app_id AND boot = :boot;

-- add_boot --
-- A boot met in a run token before its origin record.
INSERT INTO boot (app_id, boot, at) VALUES (:app_id, :boot, 0) RETURNING id;

-- fill_boot --
-- What the origin record says, once.
UPDATE boot SET at = :at, host = :host, pid = :pid, role = :role, worker_id = :worker_id,
  environment_id = :environment_id, release_id = :release_id, is_known = 1
WHERE id = :id AND is_known = 0;

-- read_boot --
-- The token part of a boot.
SELECT boot FROM boot WHERE id = :id;
