# What the tests need, installed once; what is there already is left alone.
.PHONY: setup
setup:
	tests/lab/setup.sh

# The figures the program must reach, measured here and now. `make bench ARGS="apply list"` runs
# some; with ARGS=--strict a miss is an error.
.PHONY: bench
bench: setup
	cargo bench --bench bench -- $(ARGS)
