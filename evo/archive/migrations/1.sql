CREATE TABLE wishes (
    seq BIGINT NOT NULL DEFAULT nextval('told'),
    variant INTEGER NOT NULL,
    favour VARCHAR NOT NULL,
    who VARCHAR NOT NULL,
    wished_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE wishes IS 'What people want of a variant as a parent; the last row of one counts';
COMMENT ON COLUMN wishes.favour IS 'pinned (stays a parent), banned (is none any more), none';
