# shellcheck shell=bash
# Functions that the scripts here share. Sourced, not run.

# The root of the repository.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
  printf '%s\n' "$*" >&2
}

fail() {
  say "$(basename "$0"): $*"
  exit 1
}

# Prints the comment at the head of the running script.
usage() {
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
}

# arguments COUNT "$@": prints the usage on --help, or if the number of arguments is wrong.
arguments() {
  local count=$1
  shift
  case ${1-} in
    -h | --help)
      usage
      exit 0
      ;;
  esac
  if [ $# -ne "$count" ]; then
    usage >&2
    exit 2
  fi
}

# need PROGRAM…
need() {
  local program missing=()
  for program in "$@"; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  [ ${#missing[@]} -eq 0 ] || fail "missing programs: ${missing[*]}; install them and try again"
}

# An environment exists if terraform/environments has a file for it.
check_environment() {
  [ -f "$root/terraform/environments/$1.tfvars" ] ||
    fail "terraform/environments/$1.tfvars does not exist"
}

check_digest() {
  [[ $1 =~ ^sha256:[0-9a-f]{64}$ ]] || fail "a digest must be sha256: and 64 hexadecimal digits, not \"$1\""
}

# registry: the registry of the account and region of the credentials.
registry() {
  local account region
  account=$(aws sts get-caller-identity --query Account --output text)
  region=${AWS_REGION:-$(aws configure get region)}
  echo "$account.dkr.ecr.$region.amazonaws.com"
}

# sign_in REGISTRY: signs docker in, for some hours.
sign_in() {
  aws ecr get-login-password | docker login --username AWS --password-stdin "$1" >&2
}

# running_digest ENVIRONMENT: the image that the service is set to run.
running_digest() {
  local definition image
  definition=$(aws ecs describe-services --cluster "orders-$1" --services "orders-$1" \
    --query 'services[0].taskDefinition' --output text)
  [ "$definition" != None ] || fail "the service orders-$1 does not exist"
  image=$(aws ecs describe-task-definition --task-definition "$definition" \
    --query 'taskDefinition.containerDefinitions[0].image' --output text)
  check_digest "${image##*@}"
  echo "${image##*@}"
}

# open_terraform ENVIRONMENT: initialises terraform/ for the state of an environment.
open_terraform() {
  terraform -chdir="$root/terraform" init -input=false -reconfigure -lockfile=readonly \
    -backend-config="environments/$1.s3.tfbackend" >&2
}
