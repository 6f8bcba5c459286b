// Package picture puts pictures into a terminal program that redraws by cells.
//
// Three parts, each usable without the others. Encode turns an image into what a terminal shows: sixel bytes, or lines of half
// blocks or letters. Terminal is what is known about the terminal, from its answers to Query. Screen is the program's output: the
// program writes a placeholder rune where a picture belongs, and Screen puts the picture there in the same write.
//
// The package knows nothing of the program's framework.
package picture
