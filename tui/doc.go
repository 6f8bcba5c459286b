// Package tui is the screens: training, sampling, home and data.
//
// A screen is a small model behind the interface screen: it takes messages and draws blocks of lines. The shell around it is the one
// bubbletea model, and does what all screens share: size, theme, detection of the terminal, pictures, keys and help. A screen reads
// what it shows from channels and values given to it, never from the trainer. Pictures are drawn into boxes by name (gallery), and
// reach the terminal through picture.Screen.
package tui
