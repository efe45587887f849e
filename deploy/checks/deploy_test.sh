#!/usr/bin/env bash
# Tests deploy/deploy with stubs of `aws` and `terraform`.
#
#   deploy/checks/deploy_test.sh
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
old=sha256:$(printf '0%.0s' {1..64})
new=sha256:$(printf '1%.0s' {1..64})

# Remembers the image of each plan and creates the task definition `task-IMAGE` from it.
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
    # Like ECS: run the new image, or roll back to the previous one.
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

# deployment NAME EXIT_CODE RUNNING_IMAGE PLANS MESSAGE
# From the environment: BAD, the image that ECS rolls back; BROKEN, the image whose apply fails; DATABASE, the planned action.
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
    echo "$1: a plan refreshes resources that the pipeline may not read"
    exit 1
  fi
  echo "$1: ok"
}

deployment "a good image" 0 "$new" 1 "runs task-$new"
BAD=$new deployment "an image that ECS rolls back" 1 "$old" 2 "rolled back to $old"
BAD=$new BROKEN=$new deployment "an image whose apply fails" 1 "$old" 2 "rolled back to $old"
BROKEN=$old BAD=$new deployment "an image whose rollback fails" 1 "$old" 2 "check the service now"
DATABASE=update deployment "a plan that changes the database" 1 "$old" 1 "nothing was changed"
