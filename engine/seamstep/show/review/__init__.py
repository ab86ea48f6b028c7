"""The review report: one page with plans, graph, verdicts, measurements, lint findings and provenance. Pure."""
