-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The index of words has a table for each day, made like this one, which stays empty: see search/word_index.sql.
CREATE VIRTUAL TABLE search_day USING fts5(words, content='', columnsize=0, detail=none, tokenize="ascii tokenchars '!#$%&()*+,-./:;<=>@[\]^_`{|}~'");
CREATE VIRTUAL TABLE search_day_words USING fts5vocab('search_day', 'row'); -- the words in it

-- Days that have a table.
CREATE TABLE search_table (
  day INTEGER PRIMARY KEY,                  -- of first_at, in days since 1970
  created_at INTEGER NOT NULL,
  tasks INTEGER NOT NULL                    -- that were indexed in it, whether or not they are still there
) STRICT;

-- Tasks whose words changed after they were indexed.
CREATE TABLE search_change (
  task INTEGER PRIMARY KEY,                 -- task.id
  parts INTEGER NOT NULL,                   -- 1: name, arguments and label; 2: result and error
  changes INTEGER NOT NULL                  -- how often since it was last indexed
) STRICT;

-- How far the index is. New tasks are indexed from here on ('to'), earlier ones from here back ('from').
CREATE TABLE search_position (
  key TEXT PRIMARY KEY,
  task INTEGER NOT NULL                     -- task.id
) STRICT, WITHOUT ROWID;
INSERT INTO search_position (key, task) SELECT 'to', coalesce(max(id), 0) FROM task;
INSERT INTO search_position (key, task) SELECT 'from', coalesce(max(id), 0) + 1 FROM task;

-- Queries of the task list that somebody has saved, with the columns chosen for them.
CREATE TABLE task_view (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  query TEXT NOT NULL,                      -- as in the URL
  is_shared INTEGER NOT NULL,               -- everybody sees it
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  UNIQUE (user_id, name)
) STRICT;
CREATE INDEX task_view_shared ON task_view (name) WHERE is_shared;
