//go:build !mpi

package dist

// Built says whether this build has MPI.
const Built = false

// Start is for builds with the tag mpi.
func Start(Options) (Comm, error) { return nil, ErrNotBuilt }
