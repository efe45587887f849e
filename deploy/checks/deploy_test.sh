#!/usr/bin/env bash
# Holds deploy/deploy to what it promises, with an `aws` and a `terraform` that answer as told.
#
#   deploy/checks/deploy_test.sh
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
old=sha256:$(printf '0%.0s' {1..64})
new=sha256:$(printf '1%.0s' {1..64})

# A Terraform that remembers the image of each plan, and makes of it the task definition `task-IMAGE`.
cat >"$work/terraform" <<'STUB'
#!/usr/bin/env bash
set -eu
echo "terraform $*" >>"$WORK/calls"
case " $* " in
  *" plan "*) printf '%s\n' "$@" | sed -n 's/^image_digest=//p' >"$WORK/planned" ;;
  *" show "*)
    printf '{"resource_changes":[{"address":"aws_ecs_service.this","change":{"actions":["update"]}},'
    printf '{"address":"aws_vpc.this","change":{"actions":["no-op"]}},'
    printf '{"address":"aws_db_instance.this","change":{"actions":["%s"]}}]}\n' "$DATABASE"
    ;;
  *" apply "*)
    cp "$WORK/planned" "$WORK/made"
    # What ECS does: it runs what it was given, or goes back to what it had.
    if ! grep -qxF "$BAD" "$WORK/made"; then cp "$WORK/made" "$WORK/running"; fi
    if grep -qxF "$BROKEN" "$WORK/made"; then exit 1; fi
    ;;
  *" output "*) printf 'task-%s' "$(cat "$WORK/made")" ;;
esac
STUB
cat >"$work/aws" <<'STUB'
#!/usr/bin/env bash
set -eu
running=$(cat "$WORK/running")
case " $* " in
  *" describe-task-definition "*) echo "registry/orders@$running" ;;
  *" --output text "*) echo "task-$running" ;;
  *)
    printf '{"services":[{"deployments":[{"status":"PRIMARY","taskDefinition":"task-%s",' "$running"
    printf '"rolloutState":"COMPLETED","runningCount":2,"desiredCount":2}]}]}\n'
    ;;
esac
STUB
chmod +x "$work/terraform" "$work/aws"

# deployment NAME EXIT_CODE IMAGE_THAT_RUNS PLANS SENTENCE, with BAD, BROKEN and DATABASE from outside
deployment() {
  local code=0
  echo "$old" >"$work/running"
  : >"$work/calls"
  WORK=$work BAD=${BAD-} BROKEN=${BROKEN-} DATABASE=${DATABASE-no-op} PATH=$work:$PATH \
    "$root/deploy/deploy" staging "$new" >"$work/output" 2>&1 || code=$?
  if [ "$code" -ne "$2" ] || [ "$(cat "$work/running")" != "$3" ] ||
    [ "$(grep -c ' plan ' "$work/calls")" -ne "$4" ] || ! grep -qF "$5" "$work/output"; then
    echo "$1: exit code $code, running $(cat "$work/running")"
    cat "$work/calls" "$work/output"
    exit 1
  fi
  if grep ' plan ' "$work/calls" | grep -qv -- ' -refresh=false '; then
    echo "$1: a plan looks at what the pipeline may not see"
    exit 1
  fi
  echo "$1: as it should"
}

deployment "a good image" 0 "$new" 1 "runs task-$new"
BAD=$new deployment "an image that ECS takes back" 1 "$old" 2 "$old serves again"
BAD=$new BROKEN=$new deployment "an image at which Terraform gives up" 1 "$old" 2 "$old serves again"
BROKEN=$old BAD=$new deployment "an image that cannot be taken back" 1 "$old" 2 "look at the service now"
DATABASE=update deployment "a plan that changes the database" 1 "$old" 1 "nothing was changed"
