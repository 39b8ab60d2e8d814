CREATE UNIQUE INDEX uib ON t (c, id);
