#!/usr/bin/env bash
# Installs the Debian packages that the tests use and that are missing (`containers`: a container engine too). Nothing where there is no apt-get.
set -euo pipefail
missing=()
command -v openssl >/dev/null || missing+=(openssl)
# The console's tests: a browser, and a font for its screenshots.
command -v chromium >/dev/null || missing+=(chromium fonts-liberation)
# A container engine, for `make test-all` only.
[ "${1:-}" != containers ] || command -v dockerd >/dev/null || missing+=(docker.io)
[ ${#missing[@]} -eq 0 ] && exit 0
command -v apt-get >/dev/null || { echo "please install: ${missing[*]}" >&2; exit 0; }
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
