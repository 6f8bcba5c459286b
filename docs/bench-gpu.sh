#!/bin/sh
# bench-gpu.sh BINARY: a Vulkan device on its own and beside PyTorch on the same GPU. DEVICE is its number or a part of its name (default:
# the first GPU). Conformance comes first: figures of a device that computes wrong are worth nothing. One JSON line a result.
# The peer is peer_torch.py with a CUDA build of PyTorch, and the network configurations beside it, in the folder named by DDPM_PEERS
# (default ../shared/bench). What is missing is skipped, and said.
set -eu
bin=$1
peers=${DDPM_PEERS:-../shared/bench}
iters=${ITERS:-20}
on="--backend vulkan${DEVICE:+ --device $DEVICE}"

"$bin" devices --check $on

if [ ! -f "$peers/configs/R32.json" ]; then
	echo "skipped: no network configurations in $peers/configs (set DDPM_PEERS); the default preset alone:" >&2
	exec "$bin" bench $on --iters "$iters" --json
fi
torch=
if [ -f "$peers/peer_torch.py" ] && python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
	torch=1
else
	echo "skipped: PyTorch with CUDA, and peer_torch.py in $peers" >&2
fi
theirs() {
	[ -n "$torch" ] || return 0
	python3 "$peers/peer_torch.py" "$@" --device cuda --iters "$iters"
}

# Where a step's time goes: GFLOP/s of every kind of convolution and of attention, by time stamps of the device.
for net in R32 R64 CIFAR; do
	"$bin" bench $on --config "$peers/configs/$net.json" --batch 64 --mode op --iters "$iters" --json
done
# Training steps and forward passes; batch 1 is sampling, where the cost of a dispatch shows.
for net in R32 R64 CIFAR; do
	for work in "64 train" "64 fwd" "1 fwd"; do
		set -- $work
		"$bin" bench $on --config "$peers/configs/$net.json" --batch "$1" --mode "$2" --iters "$iters" --json
		theirs "$peers/configs/$net.json" "$1" "$2"
		theirs "$peers/configs/$net.json" "$1" "$2" --amp bf16
		theirs "$peers/configs/$net.json" "$1" "$2" --amp bf16 --channels-last
		theirs "$peers/configs/$net.json" "$1" "$2" --amp bf16 --channels-last --compile
	done
done
