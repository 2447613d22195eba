"""The Ray cluster that jobs and servers run on: this machine, or the one that `RAY_ADDRESS` names."""
