ALTER TABLE t ADD COLUMN user_id BIGINT UNSIGNED NULL, ADD KEY t_user_id_index (user_id);
