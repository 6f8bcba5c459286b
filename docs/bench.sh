#!/bin/sh
# bench.sh BINARY [PART...]: the program beside its peers on this machine, each pair one after the other, as tables. Parts: train, fwd, threads,
# memory, conv, picture; left out: all (some 18 minutes on two cores; picture alone is half of that).
#
# The peers are Debian's python3-torch (peer_torch.py, first_picture.py) and ONNX Runtime (peer_ort.js), in the folder named by DDPM_PEERS
# (default ../shared/bench) with their configs/; ONNX Runtime's node module and exported models, R64.onnx and R32.onnx, in the folder named by
# DDPM_ORT (no default: see peer_ort.js); and oneDNN (apt-get install libdnnl-dev g++). What is missing is skipped, and said.
# ITERS (5): timed calls. RUN, such as "chrt -f 40": put before each timed command, but for oneDNN's, whose threads wait in loops.
set -eu
bin=$(realpath "$1")
shift
parts=${*:-train fwd threads memory conv picture}
here=$(cd "$(dirname "$0")" && pwd)
peers=${DDPM_PEERS:-$here/../../shared/bench}
ort=${DDPM_ORT:-}
iters=${ITERS:-5}
run=${RUN:-}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

skip() { echo "skipped: $*"; }
has() { case " $parts " in *" $1 "*) true ;; *) false ;; esac; }
# number FIELD: that of a JSON line.
number() { sed -n 's/.*"'"$1"'": *\([0-9.e+-]*\).*/\1/p' | tail -1; }
calc() { awk "BEGIN { printf \"$1\", $2 }"; }

if [ ! -f "$peers/configs/R32.json" ]; then
	skip "all peers: no network configurations in $peers/configs (set DDPM_PEERS); the default preset alone:"
	for precision in $("$bin" devices | grep -q 'fp32, bf16' && echo fp32 bf16 || echo fp32); do "$bin" bench --backend cpu --iters "$iters" --precision "$precision"; done
	exit
fi
torch=
if [ -f "$peers/peer_torch.py" ] && /usr/bin/python3 -c 'import torch' 2>/dev/null; then
	torch=1
else
	skip "PyTorch (apt-get install python3-torch, and peer_torch.py in $peers)"
fi
if [ -z "$ort" ] || [ ! -f "$ort/R64.onnx" ] || ! command -v node >/dev/null; then
	ort=
	skip "ONNX Runtime (node, and its module and models in the folder that DDPM_ORT names)"
fi
bf16=
"$bin" devices 2>/dev/null | grep -q 'fp32, bf16' && bf16=1 || skip "bf16 (no AVX512_BF16)"
jemalloc=$(ls /usr/lib/*/libjemalloc.so.2 2>/dev/null | head -1 || true)

ours() { # CONFIG BATCH MODE FLAGS...
	config=$1 batch=$2 mode=$3
	shift 3
	case $config in avatars32) set -- "$@" ;; *) set -- --config "$peers/configs/$config.json" "$@" ;; esac
	$run "$bin" bench --backend cpu --batch "$batch" --mode "$mode" --iters "$iters" --json "$@"
}
pytorch() {
	OMP_NUM_THREADS=$(nproc) ATEN_CPU_CAPABILITY=avx512 OPENBLAS_CORETYPE=SkylakeX LD_PRELOAD=$jemalloc $run /usr/bin/python3 "$@"
}
theirs() { # CONFIG BATCH MODE FLAGS...
	config=$1 batch=$2 mode=$3
	shift 3
	pytorch "$peers/peer_torch.py" "$peers/configs/$config.json" "$batch" "$mode" --iters "$iters" "$@"
}
# row NAME JSON OUR_BEST OUR_MEDIAN: a row of a table of times; without ours, the first row.
row() {
	best=$(echo "$2" | number best_s) median=$(echo "$2" | number median_s)
	if [ -n "${3:-}" ]; then
		echo "| $1 | $best / $median | $(calc '%.2f / %.2f' "$best / $3, $median / $4") |"
	else
		echo "| $1, $(echo "$2" | number gflops) GFLOP/s | $best / $median | 1 |"
	fi
}
# pairs CONFIG BATCH MODE: ours, in bf16 too, and the peers.
pairs() {
	json=$(ours "$1" "$2" "$3")
	b=$(echo "$json" | number best_s) m=$(echo "$json" | number median_s)
	row "$1, batch $2, $3: fp32" "$json"
	[ -z "$bf16" ] || row "bf16" "$(ours "$1" "$2" "$3" --precision bf16)" "$b" "$m"
	if [ -n "$torch" ]; then
		row "PyTorch" "$(theirs "$1" "$2" "$3")" "$b" "$m"
		row "PyTorch, channels last" "$(theirs "$1" "$2" "$3" --channels-last)" "$b" "$m"
	fi
	if [ "$3" = fwd ] && [ -n "$ort" ] && [ -f "$ort/$1.onnx" ]; then
		size=$(sed -n 's/.*"sample_size": *\([0-9]*\).*/\1/p' "$peers/configs/$1.json")
		row "ONNX Runtime" "$($run node "$peers/peer_ort.js" "$ort/node_modules/onnxruntime-node" "$ort/$1.onnx" "$size" "$2" "$iters" "$(nproc)")" "$b" "$m"
	fi
}
table() { printf '\n%s\n\n%s\n%s\n' "$1" "$2" "$(echo "$2" | sed 's/[^|]*|/---|/g; s/^---|/|/')"; }

echo "$(date -u +%F' '%H:%M), $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), load $(cut -d' ' -f1 /proc/loadavg); $("$bin" devices 2>/dev/null | sed -n 's/^ *peak */peak /p' | head -1)"

if has train; then
	table "## Training steps" "| work | seconds, best / median | times ours in fp32 |"
	pairs R64 8 train
	pairs R32 32 train
	pairs R64S 8 train
fi
if has fwd; then
	table "## Forward passes" "| work | seconds, best / median | times ours in fp32 |"
	pairs R64 8 fwd
	pairs R64 1 fwd
	pairs R32 8 fwd
fi
if has threads; then
	table "## Two threads against one" "| work | two, best / median | one, best / median | ratio |"
	for work in "R64 8" "R32 32" "avatars32 64"; do
		for precision in fp32 ${bf16:+bf16}; do
			# shellcheck disable=SC2086
			two=$(ours $work train --precision $precision) one=$(ours $work train --threads 1 --precision $precision)
			b2=$(echo "$two" | number best_s) m2=$(echo "$two" | number median_s) b1=$(echo "$one" | number best_s) m1=$(echo "$one" | number median_s)
			echo "| $work, $precision | $b2 / $m2 | $b1 / $m1 | $(calc '%.2f / %.2f' "$b1 / $b2, $m1 / $m2") |"
		done
	done
fi
if has memory; then
	if [ ! -x /usr/bin/time ]; then
		skip "memory (apt-get install time)"
	else
		table "## Memory of a training step: peak of the process, less what it has before there is a network, weights, gradients and two moments (and, ours, the average of the weights), MiB" "| work | ours: peak, less these | PyTorch: peak, less these | ratio |"
		peak() { # COMMAND...: KiB
			/usr/bin/time -f '%M' -o "$tmp/peak" "$@" >"$tmp/out" && cat "$tmp/peak"
		}
		idle=$(peak "$bin" version)
		[ -z "$torch" ] || none=$(peak /usr/bin/python3 -c 'import torch')
		for work in "R64 8" "R32 32"; do
			set -- $work
			a=$(peak "$bin" bench --backend cpu --config "$peers/configs/$1.json" --batch "$2" --mode train --iters 2 --json)
			params=$(number params <"$tmp/out")
			state=$(calc '%d' "$params * 4 / 1024")
			ours=$(calc '%d' "($a - $idle - 5 * $state) / 1024")
			if [ -z "$torch" ]; then
				echo "| $work | $((a / 1024)), $ours | | |"
				continue
			fi
			for layout in "" --channels-last; do
				p=$(LD_PRELOAD=$jemalloc OMP_NUM_THREADS=$(nproc) ATEN_CPU_CAPABILITY=avx512 OPENBLAS_CORETYPE=SkylakeX peak /usr/bin/python3 "$peers/peer_torch.py" "$peers/configs/$1.json" "$2" train --iters 2 $layout)
				theirs=$(calc '%d' "($p - $none - 4 * $state) / 1024")
				echo "| $work ${layout#--} | $((a / 1024)), $ours | $((p / 1024)), $theirs | $(calc '%.2f' "$ours / $theirs") |"
			done
		done
	fi
fi
if has conv; then
	if command -v go >/dev/null && [ -d "$here/../backend/cpu" ]; then
		(cd "$here/.." && go test -c -o "$tmp/cpu.test" ./backend/cpu)
		for form in direct winograd bf16; do
			[ "$form" = bf16 ] && [ -z "$bf16" ] && continue
			$run "$tmp/cpu.test" -test.run '^$' -test.bench "Conv3x3/.*/(64x64@64x64|128x128@32x32|256x256@16x16|512x512@8x8)_batch_16/$form\$" -test.benchtime 0.4s
		done | sed -n 's!^BenchmarkConv3x3/\([a-z0-9_]*\)/\([^/]*\)_batch_16/\([a-z0-9]*\)-.* \([0-9.]*\) GFLOP/s.*!\1 \2 \3 \4!p' >"$tmp/ours"
		echo '#include <oneapi/dnnl/dnnl.hpp>' >"$tmp/has.cpp"
		if g++ -E "$tmp/has.cpp" >/dev/null 2>&1 && g++ -O2 "$here/bench-onednn.cpp" -o "$tmp/onednn" -ldnnl; then
			OMP_NUM_THREADS=$(nproc) "$tmp/onednn" >"$tmp/theirs"
		else
			skip "oneDNN (apt-get install libdnnl-dev g++)"
			: >"$tmp/theirs"
		fi
		table "## 3x3 convolutions, batch 16, GFLOP/s counted as the direct form's; ours with packing and transforming kernels and rounding, oneDNN's without" "| operation | ours: direct, Winograd, bf16 | oneDNN: direct, Winograd, bf16 | ours / oneDNN, fp32 best | bf16 |"
		awk 'FNR == NR { o[$1, $2, $3] = $4; key[++n] = $1 SUBSEP $2; next } { t[$1, $2, $3] = $4 }
			function best(a, k) { return a[k, "direct"] + 0 > a[k, "winograd"] + 0 ? a[k, "direct"] : a[k, "winograd"] }
			function ratio(a, b) { return b + 0 ? sprintf("%.2f", a / b) : "" }
			END { for (i = 1; i <= n; i++) { k = key[i]; if (seen[k]++) continue; split(k, p, SUBSEP)
				printf "| %s, %s | %.0f, %.0f, %.0f | %s, %s, %s | %s | %s |\n", p[1], p[2], o[k, "direct"], o[k, "winograd"], o[k, "bf16"], t[k, "direct"], t[k, "winograd"], t[k, "bf16"], ratio(best(o, k), best(t, k)), ratio(o[k, "bf16"], t[k, "bf16"]) } }' "$tmp/ours" "$tmp/theirs"
	else
		skip "convolutions (no Go, or not in the project's folder)"
	fi
fi
if has picture; then
	table "## 635 steps of avatars32, batch 64, 32x32, from zero" "| | steps | seconds | seconds for 635 steps |"
	for precision in fp32 ${bf16:+bf16}; do
		$run "$bin" train --backend cpu --preset avatars32 --precision "$precision" --steps 635 --headless --run "$tmp/picture-$precision" >"$tmp/log"
		s=$(sed -n 's/.*"time": *"[^"]*T\([0-9:.]*\)Z".*/\1/p' "$tmp/picture-$precision/events.jsonl" | awk -F: '{ t = $1 * 3600 + $2 * 60 + $3; if (NR == 1) a = t; b = t } END { if (b < a) b += 86400; printf "%.1f", b - a }')
		echo "| ours, $precision, with previews | 635 | $s | $s |"
	done
	if [ -n "$torch" ] && [ -f "$peers/first_picture.py" ] && /usr/bin/python3 -c 'import PIL' 2>/dev/null; then
		minutes=${MINUTES:-2}
		pytorch "$peers/first_picture.py" "$tmp/theirs" "$minutes" >"$tmp/log"
		steps=$(sed -n 's/.*"step": *\([0-9]*\).*/\1/p; s/.*"done": *\([0-9]*\).*/\1/p' "$tmp/log" | tail -1)
		echo "| PyTorch, steps alone | $steps | $((minutes * 60)) | $(calc '%.1f' "635 * $minutes * 60 / $steps") |"
	else
		skip "first_picture.py (python3-torch, python3-pil)"
	fi
fi
