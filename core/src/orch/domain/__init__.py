"""Pure decisions: no clock, no random, no SQL, no threads."""
