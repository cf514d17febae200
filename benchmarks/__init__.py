"""What `make bench` measures on this machine. Each module offers `run() -> DataFrame`; RESULTS.md is made from them."""
