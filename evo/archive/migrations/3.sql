-- Views have changed: a variant that was caught cheating has no score.
COMMENT ON TABLE parents IS 'Edges of the lineage; a crossover has several';
