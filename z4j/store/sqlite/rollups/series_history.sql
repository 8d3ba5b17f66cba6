-- SPDX-License-Identifier: AGPL-3.0-or-later
-- series_of_name --
-- The newest series of a task name under some ids (-1: any). Index: series_name.
SELECT id, app_id, environment_id, engine_id, name_id, queue_id, release_id FROM series
WHERE name_id = :id AND is_total = 0 AND :app_id IN (-1, app_id) AND :environment_id IN (-1, environment_id)
  AND :engine_id IN (-1, engine_id) ORDER BY id DESC LIMIT :limit;

-- series_of_queue --
-- The newest series of a queue under some ids (-1: any). Index: series_queue.
SELECT id, app_id, environment_id, engine_id, name_id, queue_id, release_id FROM series
WHERE queue_id = :id AND is_total = 0 AND :app_id IN (-1, app_id) AND :environment_id IN (-1, environment_id)
  AND :engine_id IN (-1, engine_id) ORDER BY id DESC LIMIT :limit;

-- count_series_of_name --
-- All of them. Index: series_name.
SELECT count(*) FROM series WHERE name_id = :id AND is_total = 0 AND :app_id IN (-1, app_id) AND :environment_id IN (-1, environment_id)
  AND :engine_id IN (-1, engine_id);

-- count_series_of_queue --
-- All of them. Index: series_queue.
SELECT count(*) FROM series WHERE queue_id = :id AND is_total = 0 AND :app_id IN (-1, app_id) AND :environment_id IN (-1, environment_id)
  AND :engine_id IN (-1, engine_id);

-- find_app --
-- An app by its name. Index: the unique one.
SELECT id FROM app WHERE name = :name;
