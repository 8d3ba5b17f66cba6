-- SPDX-License-Identifier: AGPL-3.0-or-later
-- read_trusted --
-- The time that retention trusted last. Index: the primary key.
SELECT value FROM setting WHERE key = 'trusted_time';

-- put_trusted --
-- Stores the progress.
INSERT INTO setting (key, value) VALUES ('trusted_time', :value) ON CONFLICT DO UPDATE SET value = excluded.value;
