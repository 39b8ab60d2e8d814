-- "latin1" is windows-1252: dashes, quotation marks and the euro sign stand where ISO 8859-1 has control characters
CREATE TABLE notes (
  id INT PRIMARY KEY,
  short CHAR(20) CHARACTER SET latin1,
  note VARCHAR(100) CHARACTER SET latin1 NOT NULL,
  long_note TEXT CHARACTER SET latin1
);
INSERT INTO notes VALUES
  (1, X'80828384858687', X'88898A8B8C8E919293', X'9495969798999A9B9C9E9F'),
  (2, 'plain', X'41209620422097', NULL),
  (3, X'818D8F909D', X'E9E8FF', 'the five bytes that windows-1252 leaves undefined');
