#!/usr/bin/env bash
# Takes the cluster of eksctl/cluster.yaml down, in the order in which nothing is left behind, and checks that nothing is.
#
#   deploy/teardown.sh [--dry-run]
#
# The order: what makes pods, then services with their load balancers, then volumes, then the file system, then the nodes,
# then the cluster. A load balancer or a volume outlives a cluster that is deleted under it, and is paid for.
#
# --dry-run   asks as ever, prints what it would change, and changes nothing
#
# Exits with 0 when AWS shows nothing of the cluster any more; with 1 when something is left, which is listed, or could
# not be asked for; with 2 for a wrong call. It may be run again at any time: what is gone is passed over. Only Kubernetes
# and AWS: of Runpod, see README.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=eksctl/cluster.sh
source "$here/eksctl/cluster.sh"
# How long AWS is waited for at each step, and how often it is asked.
: "${TEARDOWN_WAIT_S:=600}" "${TEARDOWN_POLL_S:=10}"

step() { printf '\n== %s\n' "$*"; }
change() {
  if [[ -n $dry ]]; then printf 'would run: %s\n' "$*"; else "$@"; fi
}
# Lists, a name a line; nothing where there is nothing. Text output writes None for an empty answer.
ask() { aws --region "$region" --output text "$@" | tr '\t' '\n' | sed '/^None$/d;/^$/d'; }

clusters() { ask eks list-clusters --query "clusters[?@=='$name']"; }
tagged() { ask resourcegroupstaggingapi get-resources --tag-filters "Key=$1${2:+,Values=$2}" \
  --resource-type-filters "$3" --query "ResourceTagMappingList[].ResourceARN"; }
# The first tag is that of the controller inside Kubernetes, the second that of the AWS Load Balancer Controller.
load_balancers() {
  tagged "kubernetes.io/cluster/$name" "" elasticloadbalancing:loadbalancer &&
    tagged elbv2.k8s.aws/cluster "$name" elasticloadbalancing:loadbalancer
}
volumes() { ask ec2 describe-volumes --filters "Name=tag-key,Values=kubernetes.io/cluster/$name" \
  --query "Volumes[].VolumeId"; }
file_systems() { ask efs describe-file-systems \
  --query "FileSystems[?Tags[?Key=='tokgate/cluster' && Value=='$name']].FileSystemId"; }
mount_targets() { ask efs describe-mount-targets --file-system-id "$1" --query "MountTargets[].MountTargetId"; }
instances() { ask ec2 describe-instances --filters "Name=tag-key,Values=kubernetes.io/cluster/$name" \
  "Name=instance-state-name,Values=pending,running,stopping,stopped" --query "Reservations[].Instances[].InstanceId"; }
# The network, its NAT gateway and address, and the roles: eksctl makes them as stacks.
stacks() { ask cloudformation describe-stacks --query "Stacks[?starts_with(StackName, 'eksctl-$name-')].StackName"; }

# Waits until a list is empty. What cannot be asked for counts as there.
gone() {
  local what=$1 left deadline=$((SECONDS + TEARDOWN_WAIT_S))
  shift
  [[ -z $dry ]] || return 0
  while true; do
    if left=$("$@"); then
      [[ -n $left ]] || return 0
    else
      left="AWS did not answer"
    fi
    if ((SECONDS >= deadline)); then
      printf 'still there after %s s: %s: %s\n' "$TEARDOWN_WAIT_S" "$what" "${left//$'\n'/ }" >&2
      return 1
    fi
    sleep "$TEARDOWN_POLL_S"
  done
}

alive=$(clusters) || { echo "AWS did not say whether there is a cluster $name in $region" >&2; exit 1; }
if [[ -n $alive ]]; then
  kubeconfig=$(mktemp)
  trap 'rm -f "$kubeconfig"' EXIT
  # The cluster by its name: whichever kubectl speaks to at the moment may be another one.
  ask eks update-kubeconfig --name "$name" --kubeconfig "$kubeconfig" > /dev/null
  kube=(kubectl --kubeconfig "$kubeconfig")
  # In kube-system are the drivers that delete volumes and load balancers: they go with the cluster.
  namespaces=$("${kube[@]}" get namespaces -o jsonpath='{.items[*].metadata.name}')
  own=()
  for namespace in $namespaces; do
    case $namespace in kube-*) ;; *) own+=("$namespace") ;; esac
  done

  step "1. autoscalers, schedules and workloads"
  for namespace in "${own[@]}"; do
    change "${kube[@]}" --namespace "$namespace" delete \
      horizontalpodautoscalers,cronjobs,jobs,deployments,statefulsets,daemonsets,pods --all --timeout=10m
  done

  step "2. services, and the load balancers that were made for them"
  for namespace in "${own[@]}"; do
    change "${kube[@]}" --namespace "$namespace" delete services --field-selector=spec.type=LoadBalancer --timeout=10m
  done
  gone "load balancers" load_balancers

  step "3. volumes"
  for namespace in "${own[@]}"; do
    change "${kube[@]}" --namespace "$namespace" delete persistentvolumeclaims --all --timeout=10m
  done
  gone "volumes" volumes
else
  echo "there is no cluster $name in $region: nothing to ask Kubernetes for"
fi

step "4. the shared file system"
# Its mount targets stand in the cluster's network, which cannot be deleted before them.
systems=$(file_systems)
for file_system in $systems; do
  targets=$(mount_targets "$file_system")
  for target in $targets; do
    change aws --region "$region" efs delete-mount-target --mount-target-id "$target"
  done
  gone "mount targets" mount_targets "$file_system"
  change aws --region "$region" efs delete-file-system --file-system-id "$file_system"
done

if [[ -n $alive ]]; then
  step "5. node groups"
  change eksctl delete nodegroup --config-file="$config" --approve --wait --drain=false
  gone "instances" instances

  step "6. the cluster"
  change eksctl delete cluster --config-file="$config" --wait
fi

step "7. what is left"
[[ -z $dry ]] || echo "a dry run changes nothing; there is now:"
left=0
for what in clusters load_balancers volumes file_systems instances stacks; do
  # Deletions show with a delay, so each list has its time to become empty.
  if ! gone "$what" "$what"; then
    left=1
  elif [[ -n $dry ]]; then
    found=$("$what")
    printf '%s: %s\n' "${what//_/ }" "${found:-none}"
  fi
done
if ((left)); then
  echo "something is left, see above: delete it by hand, or run this again" >&2
  exit 1
fi
[[ -n $dry ]] || echo "nothing is left of $name in $region"
