-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Incidents that people recorded. Times are microseconds UTC.
CREATE TABLE incident (
  id INTEGER PRIMARY KEY,
  title TEXT NOT NULL,
  app TEXT NOT NULL,                        -- "": every one
  environment TEXT NOT NULL,
  began_at INTEGER NOT NULL,
  ended_at INTEGER,                         -- NULL while it lasts
  started_by TEXT NOT NULL,
  ended_by TEXT NOT NULL DEFAULT '',
  record TEXT                               -- JSON of z4j/rules/incidents/record.py, as it was at the end; NULL while it lasts
) STRICT;
CREATE INDEX incident_began ON incident (began_at, id);
CREATE INDEX incident_open ON incident (began_at) WHERE ended_at IS NULL;

CREATE TABLE incident_note (
  id INTEGER PRIMARY KEY,
  incident_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  author TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX incident_note_incident ON incident_note (incident_id, at);
