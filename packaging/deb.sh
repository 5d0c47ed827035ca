#!/usr/bin/env bash
# Builds a package for Debian: target/debian/netbit_*.deb. Needs cargo-deb (cargo install cargo-deb); what goes where is
# said in Cargo.toml, [package.metadata.deb]. After its installation: systemctl enable --now netbit. Settings are in
# /etc/netbit/netbit.toml, which does not exist at first.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked
made=target/packaging
rm -rf "$made" && mkdir -p "$made"
target/release/netbit man --out "$made/man"
for shell in bash zsh fish; do
    target/release/netbit completions "$shell" >"$made/netbit.$shell"
done
# The unit is for a binary that was copied by hand.
sed 's|/usr/local/bin/|/usr/bin/|' packaging/netbit.service >"$made/netbit.service"
cargo deb --no-build --locked
