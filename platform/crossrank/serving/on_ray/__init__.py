"""The server on Ray Serve: what one replica is (replica), how it reaches the others (siblings), how many there are
(scaling), how to start it (start)."""
