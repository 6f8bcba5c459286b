package cpu

import "github.com/ddpm-tui/ddpm-tui/backend"

// Inspect implements backend.Inspector.
func (e *executable) Inspect(look func(*backend.Step) error) error {
	e.b.mu.Lock()
	defer e.b.mu.Unlock()
	for i := range e.steps {
		s := &e.steps[i]
		if s.halos != nil {
			s.halos()
		}
		s.run()
		if err := look(s.step); err != nil {
			return err
		}
	}
	return nil
}
