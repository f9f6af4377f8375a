# What the tests need, installed once; what is there already is left alone.
.PHONY: setup
setup:
	tests/lab/setup.sh
