# shellcheck shell=bash
# Shared by the scripts in this folder. They build the image with buildah, on Debian, as root, without a registry.
#
# Images, containers and settings are in target/image. Those of the machine are neither used nor changed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit
folder=${CARGO_TARGET_DIR:-target}/image
[[ $folder = /* ]] || folder=$root/$folder
export CONTAINERS_CONF=$folder/containers.conf
export CONTAINERS_STORAGE_CONF=$folder/storage.conf

# The name of the image. xtask/rollout uses it, too.
export IMAGE=localhost/orders:built
# Local images that replace the two base images of the Dockerfile.
build_base=localhost/orders-build-base
run_base=localhost/orders-run-base

fail() {
  echo "xtask: $*" >&2
  exit 1
}

# run_step PROGRAM ARGUMENT…: one step. A whole build needs a third of this limit on two slow cores.
run_step() {
  echo "+ $*" >&2
  timeout --foreground 1h "$@" || fail "$1 failed, or took more than an hour"
}

# exists NAME: succeeds if there is such an image.
exists() {
  buildah inspect --type image --format '{{.FromImageID}}' "$1" >/dev/null 2>&1
}

# prepare PROGRAM:PACKAGE…: installs the packages of missing programs, and writes the settings.
prepare() {
  local pair missing=()
  [ "$(id -u)" -eq 0 ] || fail "this needs the root user: containers need networks and mounts"
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  # The network backend that the settings below name. buildah and podman only recommend these packages.
  [ -x /usr/lib/podman/netavark ] || missing+=(netavark)
  [ -x /usr/lib/podman/aardvark-dns ] || missing+=(aardvark-dns)
  if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || fail "programs are missing; their Debian packages are: ${missing[*]}"
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
  fi
  mkdir -p "$folder"
  # These settings also work without systemd, and where control groups v1 and v2 are mounted side by side.
  cat >"$CONTAINERS_CONF" <<'SETTINGS'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"

[network]
network_backend = "netavark"
SETTINGS
  cat >"$CONTAINERS_STORAGE_CONF" <<SETTINGS
[storage]
driver = "overlay"
graphroot = "$folder/storage"
runroot = "$folder/run"
SETTINGS
}

# build_as NAME OPTION…: builds the image of the current commit.
build_as() {
  ORDERS_BUILDER=buildah run_step deploy/build-image "$@" \
    --build-arg "BUILD_BASE=$build_base" --build-arg "RUN_BASE=$run_base"
}
