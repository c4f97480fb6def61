-- What can be asked of an archive by name. Made anew whenever a file comes to another version.
--
-- A variant that was caught cheating has no score, for the search takes all it had; the baseline is
-- what all others are compared with, and keeps its own.

CREATE OR REPLACE VIEW lineage AS
WITH means AS (
    SELECT variant, avg(score) AS score, stddev_samp(score) AS std, count(score) AS trials,
           bool_or(self_reported) AS self_reported
    FROM trials
    WHERE status = 'scored'
      AND variant NOT IN (SELECT variant FROM trials WHERE status = 'dishonest' AND variant <> 0)
    GROUP BY variant
), kin AS (
    SELECT variant, list(parent ORDER BY position) AS parents FROM parents GROUP BY variant
)
SELECT v.id AS variant, coalesce(kin.parents, []) AS parents, v.operator, v.title, means.score,
       means.std, coalesce(means.trials, 0) AS trials, means.score - before.score AS effect,
       means.self_reported, v.lines, v.commit, v.created_at
FROM variants v
LEFT JOIN kin ON kin.variant = v.id
LEFT JOIN means ON means.variant = v.id
LEFT JOIN means before ON before.variant = kin.parents[1]
ORDER BY v.id;
COMMENT ON VIEW lineage IS 'Every variant with its mean score and its effect: mean less its first parent''s mean';

CREATE OR REPLACE VIEW champion_path AS
WITH RECURSIVE path(variant, depth) AS (
    SELECT variant, 0 FROM (SELECT variant FROM champions ORDER BY seq DESC LIMIT 1)
    UNION ALL
    SELECT parents.parent, path.depth + 1
    FROM path JOIN parents ON parents.variant = path.variant AND parents.position = 0
)
SELECT row_number() OVER (ORDER BY path.depth DESC) - 1 AS step, lineage.variant, lineage.operator,
       lineage.title, lineage.score, lineage.effect,
       lineage.score - first(lineage.score) OVER (ORDER BY path.depth DESC) AS from_baseline,
       lineage.trials, lineage.parents
FROM path JOIN lineage ON lineage.variant = path.variant
ORDER BY step;
COMMENT ON VIEW champion_path IS 'From the baseline to the present champion along first parents';

CREATE OR REPLACE VIEW optimism AS
WITH both_splits AS (
    SELECT variant, avg(score) AS search, avg(holdout_score) AS holdout, count(*) AS trials
    FROM trials
    WHERE status = 'scored' AND holdout_score IS NOT NULL
      AND variant NOT IN (SELECT variant FROM trials WHERE status = 'dishonest' AND variant <> 0)
    GROUP BY variant
), promotions AS (
    SELECT variant, min(seq) AS seq, min(promoted_at) AS promoted_at FROM champions GROUP BY variant
)
SELECT p.variant, v.title, b.search, b.holdout, b.holdout - b.search AS gap,
       ((b.holdout - b.search) - (first.holdout - first.search))
           * CASE r.direction WHEN 'minimise' THEN 1 ELSE -1 END AS optimism,
       coalesce(b.trials, 0) AS trials, p.promoted_at
FROM promotions p
CROSS JOIN runs r
JOIN variants v ON v.id = p.variant
LEFT JOIN both_splits b ON b.variant = p.variant
LEFT JOIN both_splits first ON first.variant = 0
ORDER BY p.seq;
COMMENT ON VIEW optimism IS 'Each champion on both splits: how much selection has flattered it, beyond the baseline''s own gap';

CREATE OR REPLACE VIEW noise AS
SELECT sqrt(sum(squares) / nullif(sum(freedom), 0)) AS std, sum(freedom)::BIGINT AS freedom FROM (
    SELECT var_pop(score) * count(score) AS squares, count(score) - 1 AS freedom
    FROM trials
    WHERE status = 'scored'
      AND variant NOT IN (SELECT variant FROM trials WHERE status = 'dishonest' AND variant <> 0)
    GROUP BY variant HAVING count(score) > 1
);
COMMENT ON VIEW noise IS 'Standard deviation of one trial, pooled over the variants with replicates';

CREATE OR REPLACE MACRO ancestors(v) AS TABLE
WITH RECURSIVE family(id) AS (
    SELECT parent FROM parents WHERE variant = v
    UNION
    SELECT parents.parent FROM parents JOIN family ON parents.variant = family.id
)
SELECT lineage.* FROM lineage JOIN family ON lineage.variant = family.id ORDER BY variant;

CREATE OR REPLACE MACRO descendants(v) AS TABLE
WITH RECURSIVE family(id) AS (
    SELECT variant FROM parents WHERE parent = v
    UNION
    SELECT parents.variant FROM parents JOIN family ON parents.parent = family.id
)
SELECT lineage.* FROM lineage JOIN family ON lineage.variant = family.id ORDER BY variant;

CREATE OR REPLACE VIEW proposal_yield AS
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

CREATE OR REPLACE MACRO yield_by(name) AS TABLE
SELECT CASE name WHEN 'operator' THEN operator WHEN 'model' THEN model WHEN 'role' THEN role
                 ELSE program_sha END AS name,
       count(*) AS proposals, count(*) FILTER (outcome = 'accepted') AS accepted,
       count(*) FILTER (outcome = 'duplicate') AS duplicates,
       count(*) FILTER (outcome NOT IN ('accepted', 'duplicate')) AS refused,
       sum(trials)::BIGINT AS trials, sum(scored)::BIGINT AS scored,
       count(*) FILTER (gain > 0) AS better,
       count(*) FILTER (joined) AS joined, count(*) FILTER (champion) AS champions,
       avg(gain) AS mean_gain, sum(cost_usd) AS cost_usd, sum(training_seconds) AS training_seconds,
       sum(greatest(gain, 0)) / nullif(sum(training_seconds), 0) * 3600 AS gain_per_hour,
       sum(greatest(gain, 0)) / nullif(sum(cost_usd), 0) AS gain_per_usd
FROM proposal_yield GROUP BY 1;

CREATE OR REPLACE VIEW operator_yield AS
SELECT name AS operator, yields.* EXCLUDE (name) FROM yield_by('operator') yields
ORDER BY proposals DESC, operator;
COMMENT ON VIEW operator_yield IS 'What each operator proposed, what that cost, and what its variants gained on the first parent';

CREATE OR REPLACE VIEW model_yield AS
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

CREATE OR REPLACE VIEW role_yield AS
SELECT name AS role, yields.* EXCLUDE (name) FROM yield_by('role') yields
WHERE name <> '' ORDER BY proposals DESC;
COMMENT ON VIEW role_yield IS 'What the proposals of each role of program.md gained';

CREATE OR REPLACE VIEW program_yield AS
SELECT p.sha AS program_sha, p.first_seen, y.* EXCLUDE (name)
FROM programs p JOIN yield_by('program') y ON y.name = p.sha
ORDER BY p.first_seen;
COMMENT ON VIEW program_yield IS 'What was gained under each version of program.md';
