#!/bin/sh
# bench-gpu.sh BINARY: a Vulkan device on its own and beside PyTorch on the same GPU. DEVICE is its number or a part of its name (default:
# the first GPU). Conformance comes first: figures of a device that computes wrong are worth nothing. Then what a replay costs, GFLOP/s of
# each convolution and attention kernel, and training steps and forward passes of R32, R64 and CIFAR at batch 64, and forward passes at
# batch 1, in fp32 and, where the device has it, in fp16 with and without cooperative matrices. One JSON line a result goes to OUT (default
# bench-gpu.jsonl); tables of all of them are printed at the end (ddpm-tui bench --report OUT prints them again).
#
# The peer is peer_torch.py with a build of PyTorch for PEER_DEVICE (default cuda; none: no peer), and the network configurations beside
# it, in the folder named by DDPM_PEERS (default ../shared/bench). PYTHON is the interpreter. What is missing, fails or takes more than
# LIMIT seconds (default 600) is skipped, and said; what follows it runs.
#
# SMALL=1 runs every line of it on a network that takes no time, for a software device on which it is tried; ITERS is timed runs a result.
set -eu
bin=$1
peers=${DDPM_PEERS:-../shared/bench}
out=${OUT:-bench-gpu.jsonl}
on="--backend vulkan${DEVICE:+ --device $DEVICE}"
device=${PEER_DEVICE:-cuda}
iters=${ITERS:-20}
nets="R32 R64 CIFAR"
variant=
batch=64
limit=${LIMIT:-600}
tmp=$(mktemp -d)
trap 'rm -r "$tmp"' EXIT
trap 'exit 130' INT TERM
if [ -n "${SMALL:-}" ]; then
	cat >"$tmp/small.json" <<'EOF'
{"_class_name": "UNet2DModel", "_diffusers_version": "0.30.3", "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16], "layers_per_block": 1,
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "norm_num_groups": 4, "attention_head_dim": 8, "norm_eps": 1e-05,
 "downsample_padding": 1, "flip_sin_to_cos": true, "freq_shift": 0}
EOF
	nets=small batch=2 iters=${ITERS:-1}
fi
: >"$out"

# limited COMMAND runs it for LIMIT seconds at most, where there is a timeout.
limited() {
	if command -v timeout >/dev/null; then timeout -k 10 "$limit" "$@"; else "$@"; fi
}
# config NET is its file.
config() {
	if [ -n "${SMALL:-}" ]; then echo "$tmp/$1.json"; else echo "$peers/configs/$1.json"; fi
}
for net in $nets; do
	if [ ! -f "$(config "$net")" ]; then
		echo "skipped: there is no $(config "$net") (set DDPM_PEERS); only the default preset is timed" >&2
		"$bin" devices --check $on
		"$bin" bench $on --iters "$iters"
		exit
	fi
done
if [ "$device" != none ]; then
	python=
	for p in ${PYTHON:-python3 /usr/bin/python3}; do
		if limited "$p" -c "import torch, sys; sys.exit('$device' == 'cuda' and not torch.cuda.is_available())" 2>/dev/null; then
			python=$p
			break
		fi
	done
	if [ ! -f "$peers/peer_torch.py" ]; then
		echo "skipped: PyTorch: there is no $peers/peer_torch.py" >&2
		device=none
	elif [ -z "$python" ]; then
		echo "skipped: PyTorch: ${PYTHON:-python3} has no torch for $device" >&2
		device=none
	fi
fi

# one COMMAND appends its line to OUT; one that fails or takes too long is said, and nothing of it stays in OUT.
one() {
	rc=0
	limited "$@" >"$tmp/line" 2>"$tmp/err" || rc=$?
	case $rc in
	0) cat "$tmp/line" >>"$out" ;;
	124 | 137) echo "skipped: it takes more than $limit s (LIMIT)" >&2 ;;
	*) echo "skipped: it fails: $(tail -n 1 "$tmp/err")" >&2 ;;
	esac
}
ours() {
	echo "ddpm-tui bench $*${variant:+ ($variant)}" >&2
	one "$bin" bench $on --iters "$iters" --json "$@"
}
theirs() {
	[ "$device" != none ] || return 0
	echo "peer_torch.py $*" >&2
	one "$python" "$peers/peer_torch.py" "$@" --device "$device" --iters "$iters"
}

"$bin" devices --check --json $on >>"$out"
ours --mode replay

# The ways to compute: fp32, and fp16 if it is there, with cooperative matrices and without.
ways="fp32"
if grep -q '"fp16' "$out"; then ways="fp32 fp16"; fi
if grep -q '"fp16 cooperative' "$out"; then ways="fp32 fp16 fp16-plain"; fi
for way in $ways; do
	precision=fp32 variant=
	case $way in
	fp16*) precision=fp16 ;;
	esac
	unset DDPM_VULKAN_MATRICES
	if [ $way = fp16-plain ]; then
		variant="without cooperative matrices"
		export DDPM_VULKAN_MATRICES=off
	fi
	echo "{\"variant\": \"$variant\"}" >>"$out"
	for net in $nets; do
		ours --config "$(config "$net")" --batch $batch --precision $precision --mode op
		for work in "$batch train" "$batch fwd" "1 fwd"; do
			set -- $work
			ours --config "$(config "$net")" --batch "$1" --precision $precision --mode "$2"
		done
	done
done
unset DDPM_VULKAN_MATRICES
for net in $nets; do
	for work in "$batch train" "$batch fwd" "1 fwd"; do
		set -- $work
		for amp in "" "--amp bf16"; do
			theirs "$(config "$net")" "$1" "$2" $amp
			theirs "$(config "$net")" "$1" "$2" $amp --channels-last
			theirs "$(config "$net")" "$1" "$2" $amp --channels-last --compile
		done
	done
done
"$bin" bench --report "$out"
