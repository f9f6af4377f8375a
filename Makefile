# make run    build, and serve on http://127.0.0.1:8080 with an Asterisk to apply to
# make test   install what the tests need, and run all of them
# make bench  print the figures beside their limits
.PHONY: run test check bench setup pictures

target := $(or $(CARGO_TARGET_DIR),target)

run:
	tests/lab/setup.sh --run-only
	cargo build --locked
	tests/lab/run.sh $(target)/debug/patchbay

test: setup check
	cargo test --locked --no-fail-fast

# What needs no server: formatting, lints, documentation.
check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

# `make bench ARGS="apply list"` runs some; with ARGS=--strict a miss is an error.
bench:
	tests/lab/setup.sh --bench
	cargo bench --locked --bench bench -- $(ARGS)

# What the tests need, installed once; what is there already is left alone.
setup:
	tests/lab/setup.sh

# The pictures of the README, made from the running program.
pictures: setup
	PATCHBAY_PICTURES=tests/browser/pictures cargo test --locked --test browser pictures
