-- What language models were asked, what that cost, and what came of it.

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

CREATE VIEW proposal_yield AS
WITH bills AS (
    SELECT proposal, count(*) AS calls, sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out
    FROM llm_calls GROUP BY proposal
), tried AS (
    SELECT variant, count(*) AS trials, count(*) FILTER (status = 'scored') AS scored,
           bool_or(standing IN ('joined', 'champion')) AS joined,
           sum(training_seconds) AS training_seconds
    FROM trials WHERE seq IS NOT NULL GROUP BY variant
)
SELECT p.id AS proposal, p.operator, p.role, p.model, p.program_sha, p.outcome, v.id AS variant,
       coalesce(bills.calls, 0) AS calls, coalesce(bills.tokens_in, 0) AS tokens_in,
       coalesce(bills.tokens_out, 0) AS tokens_out, coalesce(p.cost_usd, 0) AS cost_usd,
       coalesce(tried.trials, 0) AS trials, coalesce(tried.scored, 0) AS scored,
       coalesce(tried.joined, false) AS joined,
       v.id IN (SELECT variant FROM champions) AS champion,
       CASE r.direction WHEN 'minimise' THEN -l.effect ELSE l.effect END AS gain,
       coalesce(tried.training_seconds, 0) AS training_seconds
FROM runs r, proposals p
LEFT JOIN bills ON bills.proposal = p.id
LEFT JOIN variants v ON v.proposal = p.id
LEFT JOIN tried ON tried.variant = v.id
LEFT JOIN lineage l ON l.variant = v.id
ORDER BY p.id;
COMMENT ON VIEW proposal_yield IS 'Every proposal with its bill and what its variant gained on the first parent; more is better';

CREATE MACRO yield_by(name) AS TABLE
SELECT CASE name WHEN 'model' THEN model WHEN 'role' THEN role ELSE program_sha END AS name,
       count(*) AS proposals, count(*) FILTER (outcome = 'accepted') AS accepted,
       count(*) FILTER (outcome = 'duplicate') AS duplicates,
       count(*) FILTER (outcome NOT IN ('accepted', 'duplicate')) AS refused,
       sum(scored)::BIGINT AS scored, count(*) FILTER (gain > 0) AS better,
       count(*) FILTER (joined) AS joined, count(*) FILTER (champion) AS champions,
       avg(gain) AS mean_gain, sum(cost_usd) AS cost_usd, sum(training_seconds) AS training_seconds,
       sum(greatest(gain, 0)) / nullif(sum(training_seconds), 0) * 3600 AS gain_per_hour,
       sum(greatest(gain, 0)) / nullif(sum(cost_usd), 0) AS gain_per_usd
FROM proposal_yield GROUP BY 1;

CREATE VIEW model_yield AS
WITH called AS (
    SELECT model AS name, count(*) AS calls, count(*) FILTER (outcome = 'answered') AS answered,
           sum(cost_usd) AS billed_usd, avg(latency_seconds) AS mean_latency_seconds
    FROM llm_calls GROUP BY model
)
SELECT name AS model, coalesce(calls, 0) AS calls, coalesce(answered, 0) AS answered,
       coalesce(billed_usd, 0) AS billed_usd, mean_latency_seconds,
       yields.* EXCLUDE (name, cost_usd)
FROM called FULL JOIN (FROM yield_by('model') WHERE name <> '') yields USING (name)
ORDER BY calls DESC;
COMMENT ON VIEW model_yield IS 'What each model was asked, what it cost, and what its proposals gained';

CREATE VIEW role_yield AS
SELECT name AS role, yields.* EXCLUDE (name) FROM yield_by('role') yields
WHERE name <> '' ORDER BY proposals DESC;
COMMENT ON VIEW role_yield IS 'What the proposals of each role of program.md gained';

CREATE VIEW program_yield AS
SELECT p.sha AS program_sha, p.first_seen, y.* EXCLUDE (name)
FROM programs p JOIN yield_by('program') y ON y.name = p.sha
ORDER BY p.first_seen;
COMMENT ON VIEW program_yield IS 'What was gained under each version of program.md';
