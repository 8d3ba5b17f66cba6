-- SPDX-License-Identifier: AGPL-3.0-or-later
-- firing --
-- How long the scheduler sleeps, and when the last process that fires it went (null: one is connected). Index: the primary key.
SELECT s.tick_us, CASE WHEN a.id IS NULL THEN s.seen_at ELSE a.left_at END
FROM scheduler AS s LEFT JOIN agent AS a ON a.app_id = s.app_id AND a.boot = s.boot
WHERE s.app_id = :app_id AND s.scheduler = :scheduler AND s.environment = :environment AND s.is_firing = 1
ORDER BY a.left_at IS NOT NULL, s.seen_at DESC LIMIT 1;
