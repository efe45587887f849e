# shellcheck shell=bash
# What the scripts here have in common. Sourced, not run.

# The folder of the repository.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
  printf '%s\n' "$*" >&2
}

fail() {
  say "$(basename "$0"): $*"
  exit 1
}

# The comment at the head of the script that runs.
usage() {
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
}

# arguments COUNT "$@": prints the usage if it is asked for, or if there are not so many.
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
  [ ${#missing[@]} -eq 0 ] || fail "needs ${missing[*]}; install and try again"
}

# An environment is what terraform/environments has a file for.
check_environment() {
  [ -f "$root/terraform/environments/$1.tfvars" ] ||
    fail "there is no terraform/environments/$1.tfvars"
}

check_digest() {
  [[ $1 =~ ^sha256:[0-9a-f]{64}$ ]] || fail "a digest is sha256: and 64 hexadecimal digits, not \"$1\""
}

# registry: the registry of the account and region that the credentials are of.
registry() {
  local account region
  account=$(aws sts get-caller-identity --query Account --output text)
  region=${AWS_REGION:-$(aws configure get region)}
  echo "$account.dkr.ecr.$region.amazonaws.com"
}

# sign_in REGISTRY: lets docker push and pull there, for some hours.
sign_in() {
  aws ecr get-login-password | docker login --username AWS --password-stdin "$1" >&2
}

# running_digest ENVIRONMENT: the image that the service is set to run.
running_digest() {
  local definition image
  definition=$(aws ecs describe-services --cluster "orders-$1" --services "orders-$1" \
    --query 'services[0].taskDefinition' --output text)
  [ "$definition" != None ] || fail "there is no service orders-$1"
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
