-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What a person has chosen and read.
ALTER TABLE user ADD COLUMN time_zone TEXT NOT NULL DEFAULT ''; -- in which times are read; '': that of the browser
ALTER TABLE user ADD COLUMN news_at INTEGER; -- up to when the news were read, microseconds UTC; NULL: the account's beginning
ALTER TABLE user ADD COLUMN news_before INTEGER; -- the same, before the page of news was opened last

-- News are read by time.
CREATE INDEX plan_ended ON plan (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX command_bad ON command (ended_at) WHERE status IN ('failed', 'refused', 'unsupported', 'expired', 'unknown');
CREATE INDEX error_group_regressed ON error_group (state_at) WHERE state = 3;
CREATE INDEX schedule_edit_at ON schedule_edit (at);
