CREATE TABLE counts (name text PRIMARY KEY, value bigint NOT NULL);
