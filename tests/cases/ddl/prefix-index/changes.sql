CREATE INDEX ip ON t (b(5), c);
