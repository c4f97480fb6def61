-- Language models come in: their calls have a table of more columns, proposals their bill.

DROP TABLE llm_calls;
ALTER TABLE proposals ADD COLUMN cost_usd DOUBLE DEFAULT 0;
COMMENT ON COLUMN proposals.cost_usd IS 'What models charged for it, as far as prices are known';
