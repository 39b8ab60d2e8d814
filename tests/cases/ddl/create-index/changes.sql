CREATE INDEX ib ON t (b);
