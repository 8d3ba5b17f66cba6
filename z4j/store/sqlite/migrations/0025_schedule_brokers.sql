-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The broker that a schedule of z4j's own makes tasks in, by its identity. '': any that has the task, as before.
ALTER TABLE schedule ADD COLUMN broker TEXT NOT NULL DEFAULT '';
