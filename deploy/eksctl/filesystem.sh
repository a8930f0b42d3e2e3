#!/usr/bin/env bash
# Makes the cluster's shared file system (EFS) and the storage class `efs` on it. Run once, after eksctl.
#
#   deploy/eksctl/filesystem.sh [--dry-run]
#
# The cluster is that of cluster.yaml. The file system bears the tag tokgate/cluster=NAME, by which teardown.sh finds it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$here/cluster.sh"

ask() { aws --region "$region" --output text "$@"; }
if [[ -n $dry ]]; then
  # Only what asks is run; what changes is printed, and answers with a placeholder.
  change() { echo "would run: aws --region $region --output text $*" >&2; echo "DRY-RUN"; }
else
  change() { ask "$@"; }
fi

found=$(ask efs describe-file-systems --query "FileSystems[?Tags[?Key=='tokgate/cluster' && Value=='$name']].FileSystemId")
if [[ -n $found && $found != None ]]; then
  id=${found%%[[:space:]]*}
  echo "file system $id is there already"
else
  id=$(change efs create-file-system --creation-token "tokgate-$name" --encrypted --throughput-mode elastic \
    --tags "Key=tokgate/cluster,Value=$name" "Key=Name,Value=$name" --query FileSystemId)
fi

vpc=$(ask eks describe-cluster --name "$name" --query cluster.resourcesVpcConfig.vpcId)
# eksctl's nodes are all in the cluster's own security group, so its members may reach each other already.
group=$(ask eks describe-cluster --name "$name" --query cluster.resourcesVpcConfig.clusterSecurityGroupId)
subnets=$(ask ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" "Name=tag:kubernetes.io/role/internal-elb,Values=1" \
  --query "Subnets[].SubnetId")

state=
for attempt in {1..60}; do
  [[ -z $dry ]] || break
  state=$(ask efs describe-file-systems --file-system-id "$id" --query "FileSystems[0].LifeCycleState")
  [[ $state != available ]] || break
  sleep 5
done
[[ -n $dry || $state == available ]] || { echo "file system $id is $state after $attempt looks; run this again" >&2; exit 1; }

there=
[[ $id == DRY-RUN ]] || there=$(ask efs describe-mount-targets --file-system-id "$id" --query "MountTargets[].SubnetId")
for subnet in $subnets; do
  [[ " ${there//[[:space:]]/ } " == *" $subnet "* ]] && continue
  change efs create-mount-target --file-system-id "$id" --subnet-id "$subnet" --security-groups "$group" \
    --query MountTargetId
done

manifest=$(sed "s/FILE_SYSTEM_ID/$id/" "$here/storage-class.yaml")
if [[ -n $dry ]]; then
  printf 'would apply:\n%s\n' "$manifest"
else
  kubeconfig=$(mktemp)
  trap 'rm -f "$kubeconfig"' EXIT
  # The cluster by its name, not whichever kubectl speaks to at the moment.
  ask eks update-kubeconfig --name "$name" --kubeconfig "$kubeconfig" > /dev/null
  kubectl --kubeconfig "$kubeconfig" apply -f - <<< "$manifest"
fi
