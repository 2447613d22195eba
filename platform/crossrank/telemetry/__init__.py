"""What an operator sees of a job and of the server: lines of a log, and figures that Prometheus collects."""
