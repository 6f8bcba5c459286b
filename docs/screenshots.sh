#!/bin/sh
# screenshots.sh BINARY [RUN]: takes the pictures of the README and of docs/terminal.md in a real xterm with sixel, on a display of its
# own. Every screen (the seven tabs, home, a new run, sampling, the lab) is taken at 80x24, 120x40 and 200x60 in sixel, half blocks and
# without colour: 99 pictures, some 15 minutes. Those that the documents show go to docs/images; with OUT=FOLDER all of them go there.
# RUN is a run folder to go on from (left out: a new one). SECONDS_TRAIN is how long it trains first, SECONDS_SHOT how long a screen gets,
# SECONDS_SAMPLE how long the sampler. SIZES, MODES and SCREENS choose among them, as SIZES=80x24 MODES=no-color SCREENS="tabs lab".
# Needs (Debian): xterm xvfb imagemagick xdotool fonts-dejavu-core.
set -eu
bin=$(readlink -f "$1")
run=${2:+$(readlink -f "$2")}
images=$(readlink -f "$(dirname "$0")")/images
for t in Xvfb xterm xdotool import; do
	command -v "$t" >/dev/null || { echo "missing: $t (apt-get install xterm xvfb imagemagick xdotool fonts-dejavu-core)" >&2; exit 1; }
done
shown=" training-80x24 training-120x40 training-200x60 training-80x24-blocks training-120x40-blocks training-200x60-blocks
 training-80x24-no-color training-120x40-no-color training-200x60-no-color samples-120x40 samples-80x24-blocks samples-120x40-no-color
 sampler-120x40 sampler-80x24 system-120x40 system-80x24-no-color runs-120x40 runs-80x24-blocks logs-120x40
 config-120x40 config-80x24-no-color home-80x24 home-120x40 home-80x24-no-color new-run-120x40 new-run-80x24-blocks sampling-120x40
 sampling-80x24-no-color lab-120x40 lab-80x24-blocks lab-80x24-no-color "
out=${OUT:-$images}
mkdir -p "$out"
out=$(readlink -f "$out")
work=$(mktemp -d)
Xvfb -displayfd 3 -screen 0 2200x1400x24 -nolisten tcp -noreset 3>"$work/display" 2>/dev/null &
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

cd "$work"
mkdir runs
"$bin" train --preset tiny --run runs/tiny --steps 100 --headless >tiny.out 2>&1
[ -z "$run" ] || cp -r "$run" runs/avatars32
# One trainer for all pictures of the tabs.
"$bin" train --run runs/avatars32 --steps 1000000 --headless >trainer.out 2>&1 &
sleep "${SECONDS_TRAIN:-300}"

# begin COMMAND...: a terminal of the size $size that runs a command, with pictures in the way $mode.
begin() {
	images_flag=auto no_color=
	case $mode in
	blocks) images_flag=blocks ;;
	no-color) no_color=1 ;;
	esac
	NO_COLOR=$no_color xterm -ti vt340 -tn xterm-256color -fa 'DejaVu Sans Mono' -fs 9 -bw 0 -b 4 -bg '#0f1115' -fg '#d8dee9' \
		-xrm 'XTerm*numColorRegisters: 256' -xrm 'XTerm*maxGraphicSize: 2000x2000' -xrm 'XTerm*scrollBar: false' \
		-geometry "$size" -e "$@" --images $images_flag &
	term=$!
	for try in $(seq 150); do
		window=$(xdotool search --onlyvisible --class XTerm 2>>x.log | head -1) # the display has no other
		[ -z "$window" ] || break
		sleep 0.2
	done
	[ -n "$window" ] || { echo "$size $mode $*: the terminal did not open" >&2; exit 1; }
	xdotool windowfocus "$window" # for keys: a terminal that takes them from elsewhere does not tell its colours
	sleep "${SECONDS_SHOT:-5}"
}

# keys KEY...: presses keys; waitN waits N seconds.
keys() {
	for k in "$@"; do
		case $k in
		wait*) sleep "${k#wait}" ;;
		*) xdotool key "$k" && sleep 1 ;;
		esac
	done
}

# take NAME: a picture of the terminal.
take() {
	name=$1-$size${mode:+-$mode}
	if [ -z "${OUT:-}" ]; then
		case $shown in
		*[[:space:]]"$name"[[:space:]]*) ;;
		*) return 0 ;;
		esac
	fi
	import -window "$window" -colors 256 "PNG8:$out/$name.png"
	echo "$out/$name.png"
}

end() {
	kill $term 2>/dev/null || true
	wait $term 2>/dev/null || true
}

# each FUNCTION: at every size, in every way.
each() {
	for size in ${SIZES:-80x24 120x40 200x60}; do
		for mode in ${MODES:-sixel blocks no-color}; do
			[ $mode != sixel ] || mode=
			"$1"
		done
	done
}

tabs() {
	begin "$bin" attach runs/avatars32
	take training
	keys 4 wait1
	take system
	keys 5 Down wait1
	take runs
	keys 6
	take logs
	keys 7
	take config
	keys 3 Return "wait${SECONDS_SAMPLE:-20}"
	take sampler
	keys 2 b "wait${SECONDS_SAMPLE:-20}" # with the raw weights too
	take samples
	end
}

home() {
	begin "$bin"
	take home
	keys n Return wait3
	take new-run
	end
}

sampling() {
	begin "$bin" sample runs/avatars32 -n 16 --sampler ddpm --sampling-steps 250 -o grid.png
	keys wait3
	take sampling
	end
}

lab() {
	begin "$bin" lab forward
	keys wait3
	take lab
	end
}

screens=${SCREENS:-tabs home sampling lab}
case " $screens " in *" tabs "*) each tabs ;; esac
"$bin" stop runs/avatars32 >/dev/null # it would take from the others
for s in $screens; do
	[ "$s" = tabs ] || each "$s"
done
