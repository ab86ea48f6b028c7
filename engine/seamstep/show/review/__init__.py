"""One page for those who decide on an update: plans, verdicts, measurements, lint, and what it rests on. Pure."""
