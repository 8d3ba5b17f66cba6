-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What waits for its time and what was given up stands beside what waits.
ALTER TABLE queue ADD COLUMN delayed INTEGER; -- null: the broker cannot tell
ALTER TABLE queue ADD COLUMN dead INTEGER;
