CREATE TABLE versions (id INT PRIMARY KEY, xmin INT);
