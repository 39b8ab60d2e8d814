DROP TABLE IF EXISTS u, tidak_ada;
