-- SPDX-License-Identifier: AGPL-3.0-or-later
-- An API token belongs to a person and ends with them. NULL: made on the command line of the server.
ALTER TABLE token ADD COLUMN owner_id INTEGER REFERENCES user (id) ON DELETE CASCADE;
UPDATE token SET owner_id = (SELECT id FROM user WHERE user.name = token.created_by) WHERE kind = 'api';
CREATE INDEX token_owner ON token (owner_id) WHERE owner_id IS NOT NULL;

-- An app that is disabled takes no connection of an agent.
ALTER TABLE app ADD COLUMN disabled_at INTEGER;
