-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The pins of the connection string that a process is configured with, as JSON; NULL: an older agent, which does not report them.
ALTER TABLE agent ADD COLUMN pins TEXT;
