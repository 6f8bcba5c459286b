package tui

import (
	"image/color"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// A theme is the inks of the screens. The hues are those of Okabe and Ito, which people with any kind of colour vision can tell apart,
// and no meaning hangs on a colour alone.
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
	back   color.Color // the terminal's background
}

// newTheme is the theme for a dark or light background. Without colour bold, faint and reverse are left.
func newTheme(dark, mono bool, back color.Color) theme {
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
		return t
	}
	pick := lipgloss.LightDark(dark)
	fg := func(light, dark string) chart.Ink {
		return ink(ansi.Style{}.ForegroundColor(pick(lipgloss.Color(light), lipgloss.Color(dark))))
	}
	t.dim = fg("#5f6872", "#8a8a8a") // grey also where there are 16 colours
	t.border = fg("#b4bcc4", "#48515b")
	t.accent = fg("#0072b2", "#56b4e9")
	t.raw = fg("#9cc3dc", "#2f5f7d")
	t.good = fg("#007a5a", "#35b890")
	t.warn = fg("#9a6700", "#e69f00")
	t.bad = fg("#b93a00", "#ef7d4f")
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
