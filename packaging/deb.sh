#!/usr/bin/env bash
# Builds a Debian package: target/debian/netbit_*.deb. Needs cargo-deb (cargo install cargo-deb).
# Cargo.toml, [package.metadata.deb], defines the installed paths. After the installation, run:
# systemctl enable --now netbit. The configuration is /etc/netbit/netbit.toml. The package does not
# create this file.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked
made=target/packaging
rm -rf "$made" && mkdir -p "$made"
target/release/netbit man --out "$made/man"
for shell in bash zsh fish; do
    target/release/netbit completions "$shell" >"$made/netbit.$shell"
done
# The unit in packaging/ has the path of a binary that was copied by hand.
sed 's|/usr/local/bin/|/usr/bin/|' packaging/netbit.service >"$made/netbit.service"
cargo deb --no-build --locked
