"""Telemetry of jobs and of the server, for operators: lines of a log, and figures that Prometheus collects."""
