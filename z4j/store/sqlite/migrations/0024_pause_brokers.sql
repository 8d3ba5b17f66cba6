-- SPDX-License-Identifier: AGPL-3.0-or-later
-- A pause is of a queue in one broker, by the broker's identity. '': of the queue of that name in every broker, as pauses were before.
ALTER TABLE hold ADD COLUMN broker TEXT NOT NULL DEFAULT '';
DROP INDEX hold_open;
CREATE UNIQUE INDEX hold_open ON hold (app_id, environment, engine, queue, broker) WHERE ended_at IS NULL;
