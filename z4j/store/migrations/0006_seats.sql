-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What is the same of a worker that was started again, where its name is not.
ALTER TABLE agent ADD COLUMN seat TEXT NOT NULL DEFAULT '';
-- When a process first said hello; connected_at is when it last did.
ALTER TABLE agent ADD COLUMN began_at INTEGER NOT NULL DEFAULT 0;
UPDATE agent SET began_at = connected_at;
