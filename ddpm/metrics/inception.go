package metrics

import (
	"errors"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// Inception builds Inception-v3.
func Inception(backend.Backend, string) (*Features, error) { return nil, errors.New("not yet") }

// TrainingName begins what held-out images are called where there are none.
const TrainingName = "training images"
