CREATE INDEX fi ON t ((a + 1));
