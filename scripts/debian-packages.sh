#!/bin/sh
# Install the Debian packages that the tests on real servers need: Java and Maven for the Kafka broker, Go for the S3
# server, Kubernetes' control plane, Helm and the checkers of manifests, and Prometheus. `make demo` and the service
# itself need none of them. No package starts its daemon, neither now nor as the machine starts.
set -eu

packages=""
command -v java >/dev/null || packages="$packages openjdk-17-jre-headless"
command -v mvn >/dev/null || packages="$packages maven"
command -v go >/dev/null || packages="$packages golang-go"
command -v prometheus >/dev/null || packages="$packages prometheus"
if [ -n "$packages" ]; then
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt-get update -qq
    # shellcheck disable=SC2086 -- a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
    case "$packages" in
    *prometheus*) if command -v systemctl >/dev/null; then systemctl disable --quiet prometheus || true; fi ;;
    esac
fi

version=$(go env GOVERSION | sed 's/^go//')
if [ "$(printf '%s\n1.21\n' "$version" | sort -V | head -n 1)" != "1.21" ]; then
    echo "Go $version is too old to fetch the toolchains that the recipes want; install Go 1.21 or newer" >&2
    exit 1
fi
