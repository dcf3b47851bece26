#!/bin/sh
# Install the Debian packages that the tests on real servers need: Java and Maven for the Kafka broker, Go for the S3
# server. `make demo` and the service itself need none of them.
set -eu

packages=""
command -v java >/dev/null || packages="$packages openjdk-17-jre-headless"
command -v mvn >/dev/null || packages="$packages maven"
command -v go >/dev/null || packages="$packages golang-go"
if [ -n "$packages" ]; then
    apt-get update -qq
    # shellcheck disable=SC2086 -- a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
fi

version=$(go env GOVERSION | sed 's/^go//')
if [ "$(printf '%s\n1.21\n' "$version" | sort -V | head -n 1)" != "1.21" ]; then
    echo "Go $version is too old to fetch the toolchain that the S3 server wants; install Go 1.21 or newer" >&2
    exit 1
fi
