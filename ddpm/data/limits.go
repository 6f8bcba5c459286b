package data

// DefaultMaxBytes bounds the pixels of a set where Options.MaxBytes says nothing: 350,000 colour pictures of 64x64.
const DefaultMaxBytes = 4 << 30

// limits bound what a hostile source can cost. Together they keep a load under 1 GiB beside the pixels it returns.
type limits struct {
	fileBytes  int64 // largest picture file, compressed
	pixels     int64 // most pixels a picture may claim, checked before it is decoded
	recordSize int64 // largest CIFAR or idx file, read as a stream
	entries    int   // most files in a source
	nameBytes  int64 // all names of a source together, and the directory of a zip
	jpegScans  int   // progressive JPEGs have about ten; each costs a pass over all the pixels

	// A decoder may need many bytes a pixel, so the files decoded at once share two budgets. A worker takes from the
	// first, then from the second, never the other way, so that they cannot wait for each other.
	readBudget   int64 // file bytes in memory
	decodeBudget int64 // estimated working memory of the decoders

	// An archive that has unpacked more than bombBytes and more than bombRatio times its own size is a bomb: deflate
	// reaches 1,032, pictures in an archive about 1.
	bombBytes int64
	bombRatio int64
}

func standardLimits() limits {
	return limits{
		fileBytes:    64 << 20,
		pixels:       16 << 20,
		recordSize:   2 << 30,
		entries:      2 << 20,
		nameBytes:    256 << 20,
		jpegScans:    200,
		readBudget:   128 << 20,
		decodeBudget: 448 << 20,
		bombBytes:    512 << 20,
		bombRatio:    150,
	}
}
