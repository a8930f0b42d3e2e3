# What the scripts of a cluster begin with: their one option, and the cluster of cluster.yaml. Sourced, with their
# arguments; leaves dry (empty, or 1), config, name and region. Exits with 2 for a wrong call, showing their first comment.
# shellcheck shell=bash disable=SC2034
config=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/cluster.yaml

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
dry=
for word in "$@"; do
  case $word in
    --dry-run) dry=1 ;;
    *) usage ;;
  esac
done
field() { sed -n "s/^  $1: *//p" "$config" | head -n 1; }
name=$(field name) region=$(field region)
[[ -n $name && -n $region ]] || { echo "$config has no metadata.name or metadata.region" >&2; exit 2; }
