# Targets for people; .ci/run calls test and the checks around it.
GO      ?= go
BIN     := bin/ddpm-tui
WINDOW_HEADERS := libx11-dev libxrandr-dev libxinerama-dev libxcursor-dev libxi-dev libxxf86vm-dev libgl1-mesa-dev
VERSION_STATICCHECK := v0.8.2

.PHONY: run build test cgocheck bench-gpu mpi test-mpi window test-window bench-mpi race torture nasty lint cross generate bench figures screenshots

run: build            ## train on the embedded avatars and watch
	./$(BIN) train

build:                ## bin/ddpm-tui
	$(GO) build -o $(BIN) ./cmd/ddpm-tui

test:                 ## all tests
	$(GO) test ./...

window:               ## bin/ddpm-tui-window, which has --window (as root on Debian and Ubuntu the headers are installed)
	@command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && ! dpkg -s $(WINDOW_HEADERS) >/dev/null 2>&1 && \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $(WINDOW_HEADERS); } || true
	$(GO) build -tags window -o $(BIN)-window ./cmd/ddpm-tui

test-window: window   ## the window under Xvfb (needs xvfb, imagemagick and mesa-vulkan-drivers too)
	$(GO) vet -tags window ./tui/window ./cmd/ddpm-tui
	$(GO) test -tags window ./tui/window -count 1 -v

mpi:                  ## bin/ddpm-tui-mpi, which trains and samples on several machines (needs libopenmpi-dev)
	CC=mpicc $(GO) build -tags mpi -o $(BIN)-mpi ./cmd/ddpm-tui

test-mpi:             ## the tests of several processes, on 1 to 3 ranks here (needs libopenmpi-dev and openmpi-bin)
	CC=mpicc $(GO) vet -tags mpi ./ddpm/dist ./cmd/ddpm-tui
	CC=mpicc OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 $(GO) test -tags mpi -run '^TestMPI' -count 1 -timeout 5m ./ddpm/dist ./cmd/ddpm-tui

bench-mpi: mpi        ## what two ranks gain over one here, what they wait, a trace, the network's speed: for docs/distributed.md (2 minutes, idle machine)
	sh docs/ranks.sh ./$(BIN)-mpi

race:                 ## the concurrent packages under the race detector
	$(GO) test -race -short ./backend/cpu ./ddpm/run/... ./ddpm/train ./ddpm/data ./tui/... ./cmd/...

torture:              ## 200 kills of a trainer, each compared with a run that was left alone (20 of them are in test)
	DDPM_TORTURE=200 $(GO) test ./cmd/ddpm-tui -run '^TestTorture$$' -count 1 -timeout 1h -v

nasty:                ## what the loader does with each of 80 hostile files, into docs/hostile-images.md, and its peak memory (needs ../shared/data; as root)
	DDPM_UPDATE=1 $(GO) test ./ddpm/data -run '^TestNasty$$' -count 1 -v

cgocheck:             ## the Vulkan backend with every pointer that goes to C checked
	GOEXPERIMENT=cgocheck2 $(GO) test ./backend/vulkan -run 'Sixty|Replay|Timings|SmallBlocks|PipelineCache|Lost' -count 1

bench-gpu: build      ## the Vulkan device: conformance, what a replay costs, every operation, training steps and forward passes, PyTorch on the same GPU beside them
	sh docs/bench-gpu.sh ./$(BIN)

lint:                 ## gofmt, vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@$(VERSION_STATICCHECK) ./...

cross:                ## every platform, static, without cgo
	for p in linux/amd64 linux/arm64 darwin/arm64 windows/amd64; do \
	  echo "build $$p"; CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o /dev/null ./... || exit 1; done

generate:             ## the assembly in backend/cpu/simd, from backend/cpu/asm
	$(GO) generate ./backend/cpu/simd

bench: build          ## the figures of docs/benchmarks.md; peers are skipped, saying so, where they are not installed
	sh docs/bench.sh ./$(BIN)

figures: build        ## the figures of docs/terminal.md: first frame, viewer, text, keys on a slow line, every size, pixels in an xterm
	DDPM_BIN=$(CURDIR)/$(BIN) $(GO) test ./cmd/ddpm-tui -run '^TestFigure' -count 1 -timeout 30m -v | grep -E 'FIGURE|FAIL|ok'
	DDPM_XTERM_FRAMES=60 $(GO) test ./cmd/ddpm-tui -run '^TestXterm$$' -count 1 -v
	DDPM_EVERY_SIZE=1 $(GO) test ./tui -run '^TestEverySize$$' -count 1 -timeout 30m

screenshots: build    ## the pictures of the README, in a real xterm (needs xterm xvfb imagemagick xdotool)
	sh docs/screenshots.sh ./$(BIN)
