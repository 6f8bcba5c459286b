package tui

import "testing"

// The home screen shows the last samples of the chosen run, and none of a run that has none.
func TestHomeLastSamples(t *testing.T) {
	s := testShell(t, screens()["home with samples"](), Options{}, 80, 24)
	encode(s)
	shows(t, s, "its last samples", "step 5 of 10", "▀▀▀")
	press(s, "down")
	shows(t, s, "!its last samples")
	press(s, "up")
	shows(t, s, "its last samples")
	send(s, homeShotMsg{run: RunInfo{Dir: "late"}, m: tiles(1, 1)}) // of a run that is not looked at any more
	shows(t, s, "its last samples")
}
