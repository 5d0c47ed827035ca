DROP INDEX fan_outs_by_turn;
CREATE INDEX fan_outs_by_turn ON fan_outs (slices, id);
ALTER TABLE fan_outs DROP COLUMN attempts;
