-- The archive: everything that a run has tried and measured. Times are UTC.
--
-- Rows are only ever added, but for the state of a trial that isn't finished. `seq` orders what the
-- search was told: proposals, trials, champions and wishes share one sequence.

CREATE SEQUENCE told;

CREATE TABLE meta (schema_version INTEGER NOT NULL);
COMMENT ON TABLE meta IS 'Version of this schema';

CREATE TABLE runs (
    name VARCHAR PRIMARY KEY,
    seed BIGINT NOT NULL,
    strategy VARCHAR NOT NULL,
    editable VARCHAR NOT NULL,
    recipe VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    direction VARCHAR NOT NULL,
    budget_seconds DOUBLE NOT NULL,
    clock VARCHAR NOT NULL,
    scale DOUBLE NOT NULL,
    device VARCHAR NOT NULL,
    data_name VARCHAR NOT NULL,
    data_sha VARCHAR NOT NULL,
    settings JSON NOT NULL,
    evo_version VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE runs IS 'What is evolved and how it is measured; an archive holds one run';
COMMENT ON COLUMN runs.editable IS 'The one file that evolves';
COMMENT ON COLUMN runs.recipe IS 'arena (scored by the referee) or command (self-reported)';
COMMENT ON COLUMN runs.metric IS 'Name of the score';
COMMENT ON COLUMN runs.direction IS 'minimise or maximise';
COMMENT ON COLUMN runs.clock IS 'What budgets count: wall or cpu seconds';
COMMENT ON COLUMN runs.data_sha IS 'SHA-256 of the manifest of the data';

CREATE TABLE programs (
    sha VARCHAR PRIMARY KEY,
    text VARCHAR NOT NULL,
    first_seen TIMESTAMP NOT NULL
);
COMMENT ON TABLE programs IS 'Every version of program.md that asked for proposals';

CREATE TABLE proposals (
    id INTEGER PRIMARY KEY,
    seq BIGINT NOT NULL DEFAULT nextval('told'),
    operator VARCHAR NOT NULL,
    parents INTEGER[] NOT NULL,
    subject VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    rationale VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    twin INTEGER,
    role VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    program_sha VARCHAR NOT NULL,
    seconds DOUBLE NOT NULL,
    made_at TIMESTAMP NOT NULL,
    cost_usd DOUBLE DEFAULT 0
);
COMMENT ON TABLE proposals IS 'Everything that was proposed, accepted or refused';
COMMENT ON COLUMN proposals.subject IS 'A founder''s name, the variant to ablate, a person''s request';
COMMENT ON COLUMN proposals.outcome IS 'accepted, malformed, no_op, duplicate, preflight_failed';
COMMENT ON COLUMN proposals.cause IS 'Why it was refused; empty if accepted';
COMMENT ON COLUMN proposals.twin IS 'The variant that a duplicate equals';
COMMENT ON COLUMN proposals.seconds IS 'From the brief to the end of preflight';
COMMENT ON COLUMN proposals.cost_usd IS 'What models charged for it, as far as prices are known';

CREATE TABLE variants (
    id INTEGER PRIMARY KEY,
    commit VARCHAR NOT NULL,
    operator VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    rationale VARCHAR NOT NULL,
    diff VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    lines INTEGER NOT NULL,
    proposal INTEGER NOT NULL,
    subject VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE variants IS 'Versions of the editable file; 0 is the baseline';
COMMENT ON COLUMN variants.commit IS 'In population/RUN/variants.git, and in variants.bundle';
COMMENT ON COLUMN variants.diff IS 'Unified diff against the first parent';
COMMENT ON COLUMN variants.fingerprint IS 'Hash of the normalised syntax tree: equal code, equal hash';
COMMENT ON COLUMN variants.lines IS 'Lines of code, without blanks and comments';

CREATE TABLE parents (
    variant INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (variant, position)
);
COMMENT ON TABLE parents IS 'Edges of the lineage; a crossover has several';
COMMENT ON COLUMN parents.position IS '0 is the parent that the diff is against';

CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    seq BIGINT,
    variant INTEGER NOT NULL,
    seed BIGINT NOT NULL,
    purpose VARCHAR NOT NULL,
    budget_seconds DOUBLE NOT NULL,
    scale DOUBLE NOT NULL,
    attempt INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    score DOUBLE,
    self_reported BOOLEAN NOT NULL,
    val_bpb DOUBLE GENERATED ALWAYS AS (CASE WHEN self_reported THEN NULL ELSE score END) VIRTUAL,
    standing VARCHAR,
    cause VARCHAR,
    device VARCHAR,
    split VARCHAR,
    data_sha VARCHAR,
    sandbox VARCHAR,
    startup_seconds DOUBLE,
    training_seconds DOUBLE,
    overrun_seconds DOUBLE,
    scoring_seconds DOUBLE,
    total_seconds DOUBLE,
    data_wait_seconds DOUBLE,
    peak_memory_mb DOUBLE,
    device_memory_mb DOUBLE,
    tokens BIGINT,
    steps BIGINT,
    parameters BIGINT,
    weights_mb DOUBLE,
    holdout_score DOUBLE,
    audit_honest BOOLEAN,
    audit_reason VARCHAR,
    audit_claimed DOUBLE,
    audit_audited DOUBLE,
    audit_gap_nats DOUBLE,
    audit_gap_std_nats DOUBLE,
    audit_worst_nats DOUBLE,
    audit_positions BIGINT,
    tokens_per_second DOUBLE GENERATED ALWAYS AS (tokens / nullif(training_seconds, 0)) VIRTUAL,
    started_at TIMESTAMP,
    finished_at TIMESTAMP
);
COMMENT ON TABLE trials IS 'Time-boxed measurements; a variant may have many';
COMMENT ON COLUMN trials.seq IS 'When the search was told; NULL before it is finished';
COMMENT ON COLUMN trials.purpose IS 'first, or replicate (a fresh seed for a would-be champion)';
COMMENT ON COLUMN trials.status IS 'queued, running, scored, pruned, crashed, out_of_memory, timed_out, dishonest, infrastructure';
COMMENT ON COLUMN trials.score IS 'In the run''s metric; NULL unless scored';
COMMENT ON COLUMN trials.val_bpb IS 'Validation bits per byte, lower is better; NULL if self-reported';
COMMENT ON COLUMN trials.self_reported IS 'The script printed its own score: nobody checked it';
COMMENT ON COLUMN trials.standing IS 'What it did to its variant: ignored, joined, champion';
COMMENT ON COLUMN trials.cause IS 'Why there is no score';
COMMENT ON COLUMN trials.startup_seconds IS 'From the start of the process to its first batch';
COMMENT ON COLUMN trials.training_seconds IS 'Budget used, by the run''s clock';
COMMENT ON COLUMN trials.total_seconds IS 'Wall time, with start-up and scoring';
COMMENT ON COLUMN trials.holdout_score IS 'The same weights on the holdout split: would-be champions alone';
COMMENT ON COLUMN trials.audit_honest IS 'What the blind audit said; NULL if there was none';
COMMENT ON COLUMN trials.audit_claimed IS 'Bits per byte by what the model claimed';
COMMENT ON COLUMN trials.audit_audited IS 'The claim corrected by the mean difference: the score';
COMMENT ON COLUMN trials.audit_gap_nats IS 'Mean of audited minus claimed nats a token';
COMMENT ON COLUMN trials.audit_worst_nats IS 'Largest difference at one audited position';
COMMENT ON COLUMN trials.audit_positions IS 'Positions that were audited';
COMMENT ON COLUMN trials.sandbox IS 'Walls that it ran behind: bubblewrap, namespaces, landlock; open means none';

CREATE TABLE curves (
    trial INTEGER NOT NULL,
    step BIGINT NOT NULL,
    elapsed_seconds DOUBLE NOT NULL,
    loss DOUBLE NOT NULL
);
COMMENT ON TABLE curves IS 'Training loss over a trial, as the trainee reported it';
COMMENT ON COLUMN curves.loss IS 'Nats per token';

CREATE TABLE champions (
    seq BIGINT NOT NULL DEFAULT nextval('told'),
    variant INTEGER NOT NULL,
    mean DOUBLE NOT NULL,
    std DOUBLE,
    trials INTEGER NOT NULL,
    promoted_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE champions IS 'Every promotion; the last row is the present champion';
COMMENT ON COLUMN champions.mean IS 'Mean score, in the run''s metric, when it was promoted';
COMMENT ON COLUMN champions.std IS 'Standard error of that mean; NULL if unknown';

CREATE TABLE openings (
    variant INTEGER NOT NULL,
    split VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    status VARCHAR NOT NULL,
    score DOUBLE,
    cause VARCHAR NOT NULL,
    who VARCHAR NOT NULL,
    opened_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE openings IS 'Each time that somebody had a variant scored on a split that no search may see';

CREATE TABLE sessions (
    started_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP,
    how VARCHAR,
    pid INTEGER NOT NULL,
    host VARCHAR NOT NULL
);
COMMENT ON TABLE sessions IS 'When an engine worked on this run; no end means that it was killed';

CREATE TABLE events (happened_at TIMESTAMP NOT NULL, kind VARCHAR NOT NULL, text VARCHAR NOT NULL);
COMMENT ON TABLE events IS 'What happened beside proposals, trials and promotions, in words';

CREATE TABLE requests (
    id VARCHAR PRIMARY KEY,
    verb VARCHAR NOT NULL,
    arguments JSON NOT NULL,
    who VARCHAR NOT NULL,
    asked_at TIMESTAMP NOT NULL,
    done_at TIMESTAMP NOT NULL,
    outcome VARCHAR NOT NULL
);
COMMENT ON TABLE requests IS 'What people asked of a running engine';

CREATE TABLE wishes (
    seq BIGINT NOT NULL DEFAULT nextval('told'),
    variant INTEGER NOT NULL,
    favour VARCHAR NOT NULL,
    who VARCHAR NOT NULL,
    wished_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE wishes IS 'What people want of a variant as a parent; the last row of one counts';
COMMENT ON COLUMN wishes.favour IS 'pinned (stays a parent), banned (is none any more), none';

CREATE TABLE llm_calls (
    id BIGINT PRIMARY KEY,
    proposal INTEGER NOT NULL,
    operator VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    program_sha VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    tokens_in BIGINT NOT NULL,
    tokens_out BIGINT NOT NULL,
    cost_usd DOUBLE,
    latency_seconds DOUBLE NOT NULL,
    called_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE llm_calls IS 'Every call of a model, also those whose answer was of no use';
COMMENT ON COLUMN llm_calls.proposal IS 'What it was for; a proposal may take several calls';
COMMENT ON COLUMN llm_calls.outcome IS 'answered, unusable, or in which way it failed';
COMMENT ON COLUMN llm_calls.cause IS 'Why there is no answer; empty if there is';
COMMENT ON COLUMN llm_calls.cost_usd IS 'NULL where nobody knows the price';
