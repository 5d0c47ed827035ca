# Shortcuts for `just` (https://just.systems), which is optional: every line is a plain command.
# `just` alone lists them.

# List the recipes
default:
    @just --list --unsorted

# Check formatting, lints, the house rules and the unit tests; run it before each commit
check:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo test --locked --lib
    cargo test --locked --test it tidy::

# Run the tests whose name contains NAME, for example `just test messages::`
test NAME *ARGS:
    cargo test --workspace --locked {{ NAME }} -- {{ ARGS }}

# Run everything that must pass before a change lands; takes long with a cold build
ci:
    .ci/run

# Run the micro-benchmarks of a message's path; compare two runs on the same idle machine
bench *ARGS:
    cargo bench --locked --bench hot_path -- {{ ARGS }}

# Run the server from a debug build with its data in ./data, for example `just run --http-listen 127.0.0.1:9080`
run *ARGS:
    cargo run --locked -- {{ ARGS }}

# Format the code
fmt:
    cargo fmt --all
