-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The broker an original belongs to (name.kind 'broker'; 0: not reported), so that an agent that has it is asked to send it again.
ALTER TABLE original ADD COLUMN broker_id INTEGER NOT NULL DEFAULT 0;
