-- From version 1 to 2: each trial says behind which walls it ran.

ALTER TABLE trials ADD COLUMN sandbox VARCHAR;
COMMENT ON COLUMN trials.sandbox IS 'Walls that it ran behind: bubblewrap, namespaces, landlock; open means none';
