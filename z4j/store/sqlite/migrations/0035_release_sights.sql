-- SPDX-License-Identifier: AGPL-3.0-or-later
-- When each release was first seen, by app and environment: charts mark it. Rows stay when the processes of the release are deleted.
CREATE TABLE release_sight (
  app_id INTEGER NOT NULL,
  environment_id INTEGER NOT NULL,
  release_id INTEGER NOT NULL,
  first_at INTEGER NOT NULL,                -- microseconds UTC, of the earliest process that ran it
  PRIMARY KEY (app_id, environment_id, release_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX release_sight_first ON release_sight (first_at);

INSERT INTO release_sight
  SELECT app_id, environment_id, release_id, min(at) FROM boot WHERE release_id != 0 AND at > 0 GROUP BY app_id, environment_id, release_id;
