-- An edit whose message is gone is read as a deletion, so a trim changes no edits and does not search for them.
DROP INDEX chat_events_edits;
