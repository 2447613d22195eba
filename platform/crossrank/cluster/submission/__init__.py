"""Jobs that run on a cluster, seen from another machine: submit one, follow its log, ask for it, stop it."""
