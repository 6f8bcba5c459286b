#!/bin/sh
# ranks.sh BINARY: what two ranks of one thread each gain over one on this machine, how long they wait for sums, a trace of one step, and how
# fast the network between them is. About two minutes; nothing else should run meanwhile. BINARY has MPI (make mpi).
set -eu
bin=$(realpath "$1")
rounds=${ROUNDS:-2}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cd "$out"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# median NAME LEAST of JSON lines: the median of a number from the LEAST-th line on.
median() {
	awk -v name="\"$1\":" -v least="$2" 'NR >= least && match($0, name "[-+.0-9e]+") { print substr($0, RSTART + length(name), RLENGTH - length(name)) }' | sort -g |
		awk '{ v[NR] = $1 } END { if (NR) printf "%.4g", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2; else printf "-" }'
}

# train RANKS PRESET BATCH STEPS LABEL
train() {
	mpirun --bind-to core -n "$1" "$bin" train --preset "$2" --batch "$3" --steps "$4" --threads 1 --backend cpu --distributed --json \
		--run "$5" --rank-trace "$5.trace" >"$5.lines" 2>"$5.errors" || { cat "$5.errors"; exit 1; }
	grep '"loss"' "$5.lines" >"$5.steps"
	echo "$2, batch $3, $1 ranks of 1 thread: $(median images_per_s 10 <"$5.steps") images/s, rank 0 waits $(median comm_share 10 <"$5.steps") of the step, sums hidden $(grep '"per_rank"' "$5.steps" | median hidden 1)"
}

echo "load before: $(cut -d' ' -f1-3 /proc/loadavg)"
for round in $(seq "$rounds"); do
	for work in "tiny 64 60" "avatars32 16 24"; do
		set -- $work
		for ranks in 1 2; do
			train "$ranks" "$1" "$2" "$3" "$1-$ranks-$round"
		done
	done
done
echo
echo "a trace of step 10 of avatars32 on 2 ranks (microseconds from the step's begin; tid 0 computes, tid 1 sums):"
tr '{' '\n' <"avatars32-2-1.trace" | grep '"name"' | sed 's/},*//; s/]$//'
echo
for btl in vader,self tcp,self; do
	echo "network between 2 ranks, --mca btl $btl:"
	mpirun --bind-to core -n 2 --mca btl "$btl" "$bin" scaling --measure
done
echo
echo "the model's figures:"
"$bin" scaling
