# shellcheck shell=bash
# What the scripts of this folder have in common. They build the image with buildah, on Debian, as root, without a registry.
#
# Images, containers and settings lie under target/image: nothing of the machine's is seen or changed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit
folder=${CARGO_TARGET_DIR:-target}/image
[[ $folder = /* ]] || folder=$root/$folder
export CONTAINERS_CONF=$folder/containers.conf
export CONTAINERS_STORAGE_CONF=$folder/storage.conf

# The name of the image. The roll-out (xtask/rollout) knows it, too.
export IMAGE=localhost/orders:built
# Local images in the place of the two that the Dockerfile builds on.
build_base=localhost/orders-build-base
run_base=localhost/orders-run-base

fail() {
  echo "xtask: $*" >&2
  exit 1
}

# finish PROGRAM ARGUMENT…: one step. A whole build on two slow cores needs a third of this time.
finish() {
  echo "+ $*" >&2
  timeout --foreground 1h "$@" || fail "$1 failed, or took more than an hour"
}

# exists NAME: whether there is such an image.
exists() {
  buildah inspect --type image --format '{{.FromImageID}}' "$1" >/dev/null 2>&1
}

# prepare PROGRAM:PACKAGE…: installs what is missing, and writes the settings.
prepare() {
  local pair missing=() more=()
  [ "$(id -u)" -eq 0 ] || fail "images are built and run as root here: containers need networks and mounts"
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || fail "install ${missing[*]} and try again"
    # What podman only recommends, but its networks need.
    [[ " ${missing[*]} " != *" podman "* ]] || more=(aardvark-dns netavark)
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" "${more[@]}"
  fi
  mkdir -p "$folder"
  # For where there is no systemd, and control groups of two versions are side by side.
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

# build_as NAME OPTION…: builds the image of the commit that is checked out.
build_as() {
  ORDERS_BUILDER=buildah finish deploy/build-image "$@" \
    --build-arg "BUILD_BASE=$build_base" --build-arg "RUN_BASE=$run_base"
}
