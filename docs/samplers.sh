#!/bin/sh
# The table of samplers in docs/benchmarks.md: each sampler at some numbers of noise levels, by sliced Wasserstein and Frechet distance.
#
#   sh docs/samplers.sh ./bin/ddpm-tui runs/avatars32 [samples] ["levels ..."]
#
# The lines are tab-separated: sampler, levels, samples, swd, its standard error, frechet, its standard error, images/s. The distances
# are on the scale that ddpm-tui eval prints. Work is kept in the run's folder eval: stopped, the script goes on where it was.
set -eu
program=$1 run=$2 n=${3:-512} levels=${4:-"10 20 50 100 1000"}
number() { sed -n "s/.*\"$1\":\([-+0-9.e]*\).*/\1/p" | tail -1; }
printf 'sampler\tlevels\tsamples\tswd\t+-\tfrechet\t+-\timages/s\n'
for steps in $levels; do
	for sampler in ddpm ddim euler euler-a heun dpmpp2m dpmpp2m-sde unipc; do
		lines=$("$program" eval "$run" --metrics swd,frechet -n "$n" --batch 64 --sampler "$sampler" --sampling-steps "$steps" --json)
		swd=$(printf '%s\n' "$lines" | grep '"metric":"swd"') frechet=$(printf '%s\n' "$lines" | grep '"metric":"frechet"')
		printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$sampler" "$steps" "$n" "$(echo "$swd" | number value)" "$(echo "$swd" | number err)" \
			"$(echo "$frechet" | number value)" "$(echo "$frechet" | number err)" "$(echo "$swd" | number images_per_s)"
	done
done
