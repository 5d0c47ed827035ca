-- Attempts to work off the row alone, after a slice with it had failed. 0 again as soon as an attempt succeeds.
ALTER TABLE fan_outs ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
DROP INDEX fan_outs_by_turn;
CREATE INDEX fan_outs_by_turn ON fan_outs (attempts, slices, id);
