CREATE INDEX turun ON t (a DESC, b);
