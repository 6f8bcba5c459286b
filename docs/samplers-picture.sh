#!/bin/sh
# docs/images/samplers.png: the same sixteen noises under each sampler, with as many noise levels. Needs ImageMagick.
#
#   sh docs/samplers-picture.sh ./bin/ddpm-tui runs/avatars32 [levels] [picture]
set -eu
program=$1 run=$2 levels=${3:-10} picture=${4:-docs/images/samplers.png}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for sampler in ddpm ddim euler euler-a heun dpmpp2m dpmpp2m-sde unipc; do
	"$program" sample "$run" --headless -n 16 --seed 7 --sampler "$sampler" --sampling-steps "$levels" -o "$dir/$sampler.png"
	set -- "$@" -label "$sampler" "$dir/$sampler.png"
done
while [ "${1#-label}" = "$1" ]; do shift; done
montage "$@" -tile 4x2 -geometry +6+6 -background white "$picture"
