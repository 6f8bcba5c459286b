#!/bin/sh
# screenshots.sh BINARY [RUN]: takes the pictures of the README and of docs/terminal.md in a real xterm with sixel, on a display of its
# own: the training screen at three sizes in sixel, half blocks and without colour, every other tab, home, a new run, and the sampling
# screen. RUN is a run folder to go on from (left out: a new one). SECONDS_TRAIN is how long it trains first. Needs (Debian): xterm xvfb imagemagick xdotool
# fonts-dejavu-core.
set -eu
bin=$(readlink -f "$1")
run=${2:-}
out=$(readlink -f "$(dirname "$0")")/images
for t in Xvfb xterm xdotool import; do
	command -v "$t" >/dev/null || { echo "missing: $t (apt-get install xterm xvfb imagemagick xdotool fonts-dejavu-core)" >&2; exit 1; }
done
work=$(mktemp -d)
mkdir -p "$out"
Xvfb -displayfd 3 -screen 0 2200x1400x24 -nolisten tcp 3>"$work/display" 2>/dev/null &
server=$!
finish() {
	"$bin" stop "$work/runs/avatars32" >/dev/null 2>&1 || true
	kill $server 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
while [ ! -s "$work/display" ]; do sleep 0.1; done
DISPLAY=:$(cat "$work/display")
export DISPLAY COLORTERM=truecolor

# One trainer for all pictures of the training screen, which only watch it.
run=${run:+$(readlink -f "$run")}
cd "$work"
mkdir runs
"$bin" train --preset tiny --run runs/tiny --steps 100 --headless >tiny.out 2>&1
[ -z "$run" ] || cp -r "$run" runs/avatars32
"$bin" train --run runs/avatars32 --steps 1000000 --headless >trainer.out 2>&1 &
sleep "${SECONDS_TRAIN:-300}"

# shoot NAME COLUMNSxROWS SECONDS KEYS COMMAND...: runs a command, waits, presses keys, takes the picture, closes.
shoot() {
	name=$1 size=$2 seconds=$3 keys=$4
	shift 4
	xterm -ti vt340 -tn xterm-256color -fa 'DejaVu Sans Mono' -fs 9 -bw 0 -b 4 -bg '#0f1115' -fg '#d8dee9' \
		-xrm 'XTerm*numColorRegisters: 256' -xrm 'XTerm*maxGraphicSize: 2000x2000' -xrm 'XTerm*scrollBar: false' \
		-xrm 'XTerm*allowSendEvents: true' -geometry "$size" -e "$@" &
	term=$!
	sleep "$seconds"
	window=$(xdotool search --onlyvisible --class XTerm | head -1) # the display has no other
	[ -n "$window" ] || { echo "$name: the terminal did not open" >&2; exit 1; }
	for k in $keys; do
		case $k in
		wait*) sleep "${k#wait}" ;;
		*) xdotool key --window "$window" "$k" && sleep 1 ;;
		esac
	done
	import -window "$window" -colors 256 "PNG8:$out/$name.png"
	kill $term 2>/dev/null || true
	wait $term 2>/dev/null || true
	echo "$out/$name.png"
}

wait=${SECONDS_SHOT:-5}
for size in 80x24 120x40 200x60; do
	shoot "training-$size" $size "$wait" "" "$bin" attach runs/avatars32 --watch
	shoot "training-$size-blocks" $size "$wait" "" "$bin" attach runs/avatars32 --watch --images blocks
	shoot "training-$size-no-color" $size "$wait" "" env NO_COLOR=1 "$bin" attach runs/avatars32 --watch
done
n=4
for tab in system runs logs config; do
	shoot "$tab-120x40" 120x40 "$wait" $n "$bin" attach runs/avatars32 --watch
	n=$((n + 1))
done
shoot sampler-120x40 120x40 "$wait" "3 Return wait${SECONDS_SAMPLE:-20}" "$bin" attach runs/avatars32
shoot samples-120x40 120x40 "$wait" "2 b wait$((2 * ${SECONDS_SAMPLE:-20}))" "$bin" attach runs/avatars32 # with the raw weights too
"$bin" stop runs/avatars32 >/dev/null
shoot home-80x24 80x24 "$wait" "" "$bin"
shoot new-run-120x40 120x40 "$wait" "n Return wait3" "$bin"
shoot sampling-120x40 120x40 $((wait + 3)) "" "$bin" sample runs/avatars32 -n 16 --sampler ddpm --sampling-steps 250 -o grid.png
