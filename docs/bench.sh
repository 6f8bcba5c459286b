#!/bin/sh
# bench.sh BINARY: the program beside its peers on this machine, each pair in one run. One JSON line a result.
# The peers are Debian's python3-torch, run by peer_torch.py, and the network configurations beside it, in the folder named by
# DDPM_PEERS (default ../shared/bench). What is missing is skipped, and said.
set -eu
bin=$1
peers=${DDPM_PEERS:-../shared/bench}
iters=${ITERS:-5}
rounds=${ROUNDS:-1}

if [ ! -f "$peers/configs/R32.json" ]; then
	echo "skipped: no network configurations in $peers/configs (set DDPM_PEERS); the default preset alone:" >&2
	exec "$bin" bench --iters "$iters" --json
fi
torch=
if [ -f "$peers/peer_torch.py" ] && /usr/bin/python3 -c 'import torch' 2>/dev/null; then
	torch=1
else
	echo "skipped: PyTorch (apt-get install python3-torch, and peer_torch.py in $peers)" >&2
fi
jemalloc=$(ls /usr/lib/*/libjemalloc.so.2 2>/dev/null | head -1 || true)

ours() { "$bin" bench --config "$peers/configs/$1.json" --batch "$2" --mode "$3" --iters "$iters" --json; }
theirs() {
	[ -n "$torch" ] || return 0
	config=$1 batch=$2 mode=$3
	shift 3
	LD_PRELOAD=$jemalloc OMP_NUM_THREADS=$(nproc) ATEN_CPU_CAPABILITY=avx512 OPENBLAS_CORETYPE=SkylakeX \
		/usr/bin/python3 "$peers/peer_torch.py" "$peers/configs/$config.json" "$batch" "$mode" --iters "$iters" "$@"
}

for round in $(seq "$rounds"); do
	for work in "R32 32 train" "R32 32 fwd" "R64 8 train" "R64 8 fwd"; do
		set -- $work
		ours "$@"
		theirs "$@"
		theirs "$@" --channels-last
	done
done
