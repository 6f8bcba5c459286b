package tui

import (
	"image/color"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// A theme is the inks of the screens. The hues of the first are those of Okabe and Ito, which people with any kind of colour vision can
// tell apart, and in none does a meaning hang on a colour alone.
type theme struct {
	dark, mono bool

	title  chart.Ink // headings
	dim    chart.Ink // labels
	border chart.Ink
	accent chart.Ink // the line to look at, the selected thing
	raw    chart.Ink // the same, before smoothing
	good   chart.Ink
	warn   chart.Ink
	bad    chart.Ink
	chosen chart.Ink
	heat   []chart.Ink // low to high
	curves []chart.Ink // to tell runs apart
	back   color.Color // the terminal's background
}

// The themes to choose from.
const (
	themeSafe     = iota // for any kind of colour vision
	themeVivid           // green is good and red is bad
	themeContrast        // bright or dark, nothing between
	themes
)

var themeNames = [themes]string{"colour-blind safe", "vivid", "high contrast"}

// palettes are, for each theme, the inks as {on light, on dark}: dim, border, accent, raw, good, warn, bad.
var palettes = [themes][7][2]string{
	{{"#5f6872", "#8a8a8a"}, {"#b4bcc4", "#48515b"}, {"#0072b2", "#56b4e9"}, {"#9cc3dc", "#2f5f7d"}, {"#007a5a", "#35b890"}, {"#9a6700", "#e69f00"}, {"#b93a00", "#ef7d4f"}},
	{{"#5c6370", "#8a919e"}, {"#b8bec8", "#4b5263"}, {"#6f42c1", "#c678dd"}, {"#c3b1e6", "#6b4a7d"}, {"#22863a", "#98c379"}, {"#b08800", "#e5c07b"}, {"#cb2431", "#e06c75"}},
	{{"#303030", "#d0d0d0"}, {"#606060", "#a0a0a0"}, {"#0000c0", "#00ffff"}, {"#7070ff", "#008787"}, {"#005000", "#00ff5f"}, {"#704000", "#ffff00"}, {"#a00000", "#ff8787"}},
}

// newTheme is the theme for a dark or light background. Without colour bold, faint and reverse are left.
func newTheme(kind int, dark, mono bool, back color.Color) theme {
	t := theme{dark: dark, mono: mono, back: back, title: ink(ansi.Style{}.Bold())}
	if t.back == nil {
		t.back = color.White
		if dark {
			t.back = color.Black
		}
	}
	t.chosen = ink(ansi.Style{}.Reverse(true))
	if mono {
		faint := ink(ansi.Style{}.Faint())
		t.dim, t.border, t.raw = faint, faint, faint
		t.curves = []chart.Ink{faint, faint, faint}
		return t
	}
	pick := lipgloss.LightDark(dark)
	fg := func(light, dark string) chart.Ink {
		return ink(ansi.Style{}.ForegroundColor(pick(lipgloss.Color(light), lipgloss.Color(dark))))
	}
	for i, to := range []*chart.Ink{&t.dim, &t.border, &t.accent, &t.raw, &t.good, &t.warn, &t.bad} { // dim is grey also where there are 16 colours
		c := palettes[kind%themes][i]
		*to = fg(c[0], c[1])
	}
	for _, c := range [][2]string{{"#b85c00", "#e69f00"}, {"#007a5a", "#35b890"}, {"#a0457f", "#cc79a7"}, {"#8a7a00", "#f0e442"}, {"#b93a00", "#ef7d4f"}} {
		t.curves = append(t.curves, fg(c[0], c[1]))
	}
	ramp := []color.Color{lipgloss.Color("#3b528b"), lipgloss.Color("#21918c"), lipgloss.Color("#5ec962"), lipgloss.Color("#e3d31f")}
	if !dark {
		ramp = []color.Color{lipgloss.Color("#a8cbe6"), lipgloss.Color("#3f8fc4"), lipgloss.Color("#225ea8"), lipgloss.Color("#38226f")}
	}
	for _, c := range lipgloss.Blend1D(16, ramp...) {
		t.heat = append(t.heat, ink(ansi.Style{}.ForegroundColor(c)))
	}
	return t
}

func ink(s ansi.Style) chart.Ink { return chart.Ink(s.String()) }

// bold adds weight to an ink.
func bold(i chart.Ink) chart.Ink { return chart.Ink(ansi.Style{}.Bold().String()) + i }
