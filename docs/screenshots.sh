#!/bin/sh
# screenshots.sh BINARY [RUN]: takes the pictures of the README in a real xterm with sixel, on a display of its own.
# RUN is a run folder to go on from and to sample (left out: a short one is trained first). Needs (Debian): xterm xvfb
# imagemagick xdotool fonts-dejavu-core.
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
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
while [ ! -s "$work/display" ]; do sleep 0.1; done
DISPLAY=:$(cat "$work/display")
export DISPLAY COLORTERM=truecolor

if [ -z "$run" ]; then
	run=$work/avatars32
	"$bin" train --run "$run" --steps 300 --headless >/dev/null
fi

# shoot NAME COLUMNSxROWS SECONDS KEYS COMMAND...: runs a command, waits, presses keys, takes the picture, closes.
shoot() {
	name=$1 size=$2 seconds=$3 keys=$4
	shift 4
	cp -r "$run" "$work/demo"
	(cd "$work" && exec xterm -ti vt340 -tn xterm-256color -fa 'DejaVu Sans Mono' -fs 9 -bw 0 -b 4 -bg '#0f1115' -fg '#d8dee9' \
		-xrm 'XTerm*numColorRegisters: 256' -xrm 'XTerm*maxGraphicSize: 2000x2000' -xrm 'XTerm*scrollBar: false' \
		-geometry "$size" -e "$@") &
	term=$!
	sleep "$seconds"
	window=$(xdotool search --onlyvisible --class XTerm | head -1) # the display has no other
	[ -n "$window" ] || { echo "$name: the terminal did not open" >&2; exit 1; }
	for k in $keys; do
		xdotool key --window "$window" "$k"
		sleep 1
	done
	import -window "$window" "$out/$name.png"
	kill $term 2>/dev/null || true
	wait $term 2>/dev/null || true
	"$bin" stop "$work/demo" >/dev/null 2>&1 || true # training outlives its screen
	rm -rf "$work/demo"
	echo "$out/$name.png"
}

more=1000000
shoot training-120x40 120x40 "${SECONDS_TRAIN:-45}" "" "$bin" train --run demo --steps $more
shoot training-80x24 80x24 20 "" "$bin" train --run demo --steps $more
shoot training-200x60 200x60 "${SECONDS_TRAIN:-45}" "" "$bin" train --run demo --steps $more
shoot training-no-color 120x40 20 "" env NO_COLOR=1 "$bin" train --run demo --steps $more
shoot training-blocks 120x40 "${SECONDS_TRAIN:-45}" "" "$bin" train --run demo --steps $more --images blocks
shoot sampling-120x40 120x40 8 "" "$bin" sample demo -n 16 --sampler ddpm --sampling-steps 250 -o grid.png
