-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Findings of Now: when each began and ended. `key` is the same as long as it lasts (z4j/rules/findings/finding.py).
CREATE TABLE finding (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  kind TEXT NOT NULL,
  app TEXT NOT NULL,                        -- names, as on every page; "": anywhere
  environment TEXT NOT NULL,
  engine TEXT NOT NULL,
  subject TEXT NOT NULL,
  level TEXT NOT NULL,                      -- the worst it had
  title TEXT NOT NULL,
  text TEXT NOT NULL,                       -- as it was found first
  began_at INTEGER NOT NULL,                -- microseconds UTC
  ended_at INTEGER                          -- NULL while it lasts
) STRICT;
CREATE UNIQUE INDEX finding_open ON finding (key) WHERE ended_at IS NULL;
CREATE INDEX finding_ended ON finding (ended_at, id);
CREATE INDEX finding_began ON finding (began_at, id);

-- Kinds of findings that a person does not want to see about a subject; an empty subject is every one.
CREATE TABLE muted_finding (
  kind TEXT NOT NULL,
  app TEXT NOT NULL,
  environment TEXT NOT NULL,
  engine TEXT NOT NULL,
  subject TEXT NOT NULL,
  muted_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (kind, app, environment, engine, subject)
) STRICT, WITHOUT ROWID;
