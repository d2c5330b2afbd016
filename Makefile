# Two commands do everything on a fresh Debian or Ubuntu machine: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: setup demo check fuzz dist test test-full bench shapes release cpp cpp-arm cpp-sanitize cpp-fuzz lint packages dist clean

PYTHON ?= python3
PY := .venv/bin/python
STAMP := .venv/.installed
# One thread a process: the commands below run side by side, and small networks gain little from more.
export OMP_NUM_THREADS ?= 1
DATA ?=

help:  ## (default) what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

# ---- set-up -----------------------------------------------------------------------------------------------------------
CPP_PACKAGES := g++ make cmake libopencv-imgproc-dev libopencv-imgcodecs-dev libopencv-videoio-dev nlohmann-json3-dev libcli11-dev pkg-config
FUZZ_PACKAGES := clang-14 libclang-rt-14-dev
AARCH64_PACKAGES := g++-aarch64-linux-gnu qemu-user libstb-dev
# Where systemd runs, Debian's package of the ssh server would start one for good: there it is left to you, and tests skip it.
DEVICE_PACKAGES := adb openssh-client $(if $(wildcard /run/systemd/system),,openssh-server)

# $(call install_packages,LIST): install what dpkg does not have, as root or through sudo; else print the line and stop.
define install_packages
	@missing=""; for name in $(1); do dpkg-query -W -f='$${Status}' $$name 2>/dev/null | grep -q 'ok installed' || missing+=" $$name"; done; \
	if [ -n "$$missing" ]; then \
	  as=""; [ "$$(id -u)" = 0 ] || as="sudo -n"; \
	  if [ -z "$$as" ] || sudo -n true 2>/dev/null; then \
	    echo "installing Debian packages:$$missing" >&2; \
	    $$as apt-get update -qq >&2 && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends$$missing >&2; \
	  else \
	    echo "missing Debian packages; run this line, then make again:" >&2; \
	    echo "  sudo apt-get update && sudo apt-get install -y$$missing" >&2; exit 2; \
	  fi; \
	fi
endef

# The lock is complete, as `pip check` confirms below; pip need not look for more.
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --no-deps

setup: $(STAMP)  ## .venv with the pinned packages and this project

$(STAMP): requirements.txt requirements-cpu.txt requirements-cuda.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "got no $(PYTHON), expected Python 3.11 to 3.14; run: sudo apt-get install -y python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { echo "got $$($(PYTHON) -V), expected Python 3.11 to 3.14; name one with make PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory venv-package
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PIP_INSTALL) --require-hashes -r requirements-cpu.txt 2>/dev/null || echo "pip finds no CPU build of torch: taking PyPI's" >&2
	$(PIP_INSTALL) --require-hashes -r requirements.txt
	$(PIP_INSTALL) --no-build-isolation -e .
	@if { $(PY) -m pip check || true; } | grep -E '^torch .* requires (cuda|nvidia|triton)' >&2; then \
	  echo "this torch is a CUDA build: installing its packages" >&2; $(PIP_INSTALL) --require-hashes -r requirements-cuda.txt; fi
	@$(PY) -m pip check >&2
	touch $@

.PHONY: lock audit licenses
lock: $(STAMP)  ## requirements.in -> requirements*.txt with hashes; UPGRADE="NAME ..." lets versions of other packages rise
	$(PY) -m tools.lock $(if $(UPGRADE),--upgrade $(UPGRADE))

licenses: $(STAMP)  ## docs/licenses.md from the installed packages
	$(PY) -m tools.licenses

audit: $(STAMP)  ## check hashes and installed versions, and look for known vulnerabilities where the index has such data
	$(PY) -m tools.audit

.PHONY: venv-package
venv-package:
	$(call install_packages,python3-venv)

packages:  ## Debian packages of the C++ demo, for this machine and for 64-bit Arm
	$(call install_packages,$(CPP_PACKAGES) $(AARCH64_PACKAGES) $(DEVICE_PACKAGES))

# ---- artifacts: $(1)/NETWORK/FORMAT-PRECISION/model.json from models/NETWORK/checkpoint.pt -------------------------------
LITE := unet_lite unet_lite_s
FORMATS := onnx tflite ncnn torch
# torch is here as the reference; of each format the full precision and what is released.
FULL_SET := torch-fp32 onnx-fp32 onnx-int8 tflite-fp32 tflite-int8 ncnn-fp16 ncnn-int8
U2NETP_SET := torch-fp32 ncnn-fp16
# Larger squares of the small networks: finer masks for some two times the time.
LARGER := unet_lite/tflite-int8-384x384 unet_lite_s/tflite-int8-320x320
# Networks that were made of free images alone; these calibrate and check them too: OPEN_DATA=DIR with the splits train/ and val/.
OPEN := $(patsubst models/%/checkpoint.pt,%,$(wildcard models/*_open/checkpoint.pt))
OPEN_SMALL := $(filter unet_%,$(OPEN))
OPEN_DATA ?=
# In ONNX's int8 the small one loses a whole point of IoU.
OPEN_SET := $(filter-out unet_lite_s_open/onnx-int8,$(foreach kind,onnx-fp32 onnx-int8 tflite-int8 tflite-uint8 ncnn-int8,$(OPEN_SMALL:%=%/$(kind)))) \
  $(addsuffix /onnx-fp32,$(filter u2netp%,$(OPEN))) $(addsuffix /tflite-int8-384x384,$(filter unet_lite_open,$(OPEN)))
need_open_data = @test -z "$(OPEN)" -o -n "$(OPEN_DATA)" || { echo "got no OPEN_DATA, expected the folder of free images that calibrates $(OPEN)" >&2; exit 2; }

# $(call float_rule,ROOT,FORMAT,PRECISION)
define float_rule
$(1)/%/$(2)-$(3)/model.json: models/%/checkpoint.pt $(STAMP)
	$(PY) export/to_$(2).py --checkpoint $$< --precision $(3) --out $$(@D)
endef
# $(call int8_rule,ROOT,FORMAT,CALIBRATION FOLDER,WHAT MAKES IT,MORE FLAGS,END OF THE NETWORK'S NAME)
define int8_rule
$(1)/%$(6)/$(2)-int8/model.json: models/%$(6)/checkpoint.pt $(STAMP) $(4)
	$(PY) quantize/int8.py --checkpoint $$< --calib "$(3)" --format $(2) --out $$(@D) $(5)
endef
float_rules = $(foreach format,$(FORMATS),$(foreach precision,fp32 fp16,$(eval $(call float_rule,$(1),$(format),$(precision)))))
int8_rules = $(foreach format,onnx tflite ncnn,$(eval $(call int8_rule,$(1),$(format),$(2),$(3),$(4),$(5))))

# ---- make demo --------------------------------------------------------------------------------------------------------
DEMO := build/demo
DEMO_SCENES := $(DEMO)/scenes
DEMO_DATA := $(or $(DATA),$(DEMO_SCENES))
# $(call split_of,FOLDER,SPLIT): the split to read, or nothing where FOLDER has no splits. FOLDER may contain spaces.
split_of = $(shell test -d "$(1)/images" || echo $(2))
DEMO_SPLIT = $(call split_of,$(DEMO_DATA),test)
DEMO_PHOTOS = $(if $(DATA),$(DATA)/$(DEMO_SPLIT)/images,docs/photos)
DEMO_MODELS := $(foreach net,$(LITE),$(FULL_SET:%=$(DEMO)/$(net)/%)) $(U2NETP_SET:%=$(DEMO)/u2netp/%)
$(call float_rules,$(DEMO))
$(call int8_rules,$(DEMO),$(DEMO_SCENES)/train,$(DEMO_SCENES)/train/images,--count 40)
say = @echo "== $(1)" >&2

$(DEMO_SCENES)/test/images: $(STAMP)
	$(PY) -m scenes.render --out $(DEMO_SCENES) --count 24 --seed 2000 --split test

$(DEMO_SCENES)/train/images: $(STAMP)
	$(PY) -m scenes.render --out $(DEMO_SCENES) --count 64 --seed 1000 --split train

demo: $(STAMP)  ## masks first, then export, quantize, verify, benchmark, report; your labeled images with DATA=DIR
	$(call say,segmenting with the released int8 unet_lite)
	@$(PY) -m edge_runtime.segment "$(DEMO_PHOTOS)" --model models/unet_lite/tflite-int8 --out $(DEMO)/masks --overlay
	$(call say,overlays to look at: $(DEMO)/masks/*.overlay.jpg)
	$(call say,exporting and quantizing $(words $(DEMO_MODELS)) artifacts)
	@$(MAKE) --no-print-directory -s $(DEMO_SCENES)/train/images $(if $(DATA),,$(DEMO_SCENES)/test/images)
	@$(MAKE) --no-print-directory -s -j2 $(addsuffix /model.json,$(DEMO_MODELS))
	$(call say,replaying the golden pair of every artifact)
	@$(PY) -m edge_runtime.verify $(DEMO_MODELS)
	$(call say,benchmarking)
	@$(PY) -m edge_runtime.benchmark --models $(DEMO_MODELS) --data "$(DEMO_DATA)" --split "$(DEMO_SPLIT)" --threads 1 --quick --eval-count 24 --overwrite --out $(DEMO)/results.json
	@$(PY) -m skyedge.report $(DEMO)/results.json --out $(DEMO)/report
	@echo "page: $(DEMO)/report/index.html   masks and overlays: $(DEMO)/masks/"

# ---- make bench: the full rule; the only source of figures in the README ------------------------------------------------
BENCH := build/bench
# The graph of the public sky network at its input size, for latency; its weights here were trained at another.
PUBLIC := $(BENCH)/u2netp/ncnn-fp16-384
BENCH_MODELS := $(foreach net,$(LITE),$(FULL_SET:%=$(BENCH)/$(net)/%)) $(U2NETP_SET:%=$(BENCH)/u2netp/%) \
  $(foreach kind,ncnn-fp16 onnx-int8 tflite-int8,$(BENCH)/u2netp_p5/$(kind)) $(BENCH)/u2netp/tflite-int8 $(BENCH)/teacher/onnx-fp32 $(PUBLIC) $(addprefix $(BENCH)/,$(LARGER) $(OPEN_SET))
CLASSICAL := classical:contour classical:color
BENCH_CALIB = $(DATA)$(shell test -d "$(DATA)/val" && echo /val)
$(call float_rules,$(BENCH))
$(call int8_rules,$(BENCH),$(BENCH_CALIB),,--eval "$(BENCH_CALIB)" --count 200 --max-drop 0.3 --keep-float AUTO)

# Of two rules make takes the one whose % is shorter, so that these make the open networks. Their gate is wider, since its
# 108 images say little: unet_lite_s_open loses 0.95 points on them, and 0.1 on the 771 test images.
$(call int8_rules,$(BENCH),$(OPEN_DATA),,--eval "$(OPEN_DATA)" --split val --count 200 --max-drop 1.0,_open)

# The int8 network with bytes at both ends: what MediaPipe Tasks takes.
$(BENCH)/%/tflite-uint8/model.json: models/%/checkpoint.pt $(STAMP)
	$(PY) quantize/int8.py --checkpoint $< --calib "$(BENCH_CALIB)" --eval "$(BENCH_CALIB)" --max-drop 0.3 --format tflite --io uint8 --out $(@D)
$(BENCH)/%_open/tflite-uint8/model.json: models/%_open/checkpoint.pt $(STAMP)
	$(PY) quantize/int8.py --checkpoint $< --calib "$(OPEN_DATA)" --eval "$(OPEN_DATA)" --split val --max-drop 1.0 --format tflite --io uint8 --out $(@D)
# A second size of one network: finer masks for some two times the time.
$(BENCH)/%_open/tflite-int8-384x384/model.json: models/%_open/checkpoint.pt $(STAMP)
	$(PY) quantize/int8.py --checkpoint $< --calib "$(OPEN_DATA)" --eval "$(OPEN_DATA)" --split val --max-drop 1.0 --format tflite --size 384 --out $(@D)

$(PUBLIC)/model.json: models/u2netp/checkpoint.pt $(STAMP)
	$(PY) export/to_ncnn.py --checkpoint $< --precision fp16 --size 384 --out $(@D)

# The small network for wide and upright images, 4:3 and about 16:9: sides are multiples of 32.
SHAPES := 256x192 288x160 192x256 160x288
# $(call shape_rule,FORMAT,WIDTHxHEIGHT)
define shape_rule
$(BENCH)/%/$(1)-int8-$(2)/model.json: models/%/checkpoint.pt $(STAMP)
	$(PY) quantize/int8.py --checkpoint $$< --calib "$(BENCH_CALIB)" --eval "$(BENCH_CALIB)" --max-drop 0.3 --format $(1) --size $(2) --out $$(@D)
endef
$(foreach format,onnx tflite ncnn,$(foreach size,$(SHAPES),$(eval $(call shape_rule,$(format),$(size)))))
$(foreach size,320x320 384x384,$(eval $(call shape_rule,tflite,$(size))))
SHAPED := $(foreach size,$(SHAPES),unet_lite_s/tflite-int8-$(size) unet_lite_s/onnx-int8-$(size))

shapes: $(STAMP)  ## make shapes DATA=DIR: the small network in 4:3 and 16:9, into build/bench/
	@test -n "$(DATA)" || { echo "got no DATA, expected make shapes DATA=DIR with the splits val/ and test/" >&2; exit 2; }
	@$(MAKE) --no-print-directory -j2 $(SHAPED:%=$(BENCH)/%/model.json)
	$(PY) -m edge_runtime.verify $(SHAPED:%=$(BENCH)/%)

bench: $(STAMP)  ## make bench DATA=DIR OPEN_DATA=DIR: the released networks and the references by the full rule, into results/ and the README; go on with RESUME=FILE.part
	@test -n "$(DATA)" || { echo "got no DATA, expected make bench DATA=DIR with images/ and masks/, or splits val/ and test/" >&2; exit 2; }
	$(need_open_data)
	@$(MAKE) --no-print-directory -j2 $(addsuffix /model.json,$(BENCH_MODELS))
	$(PY) -m edge_runtime.verify $(BENCH_MODELS)
	$(PY) -m edge_runtime.benchmark --models $(BENCH_MODELS) $(CLASSICAL) --data "$(DATA)" --split "$(call split_of,$(DATA),test)" --threads 1 --reference u2netp-384-fp16-ncnn $(if $(RESUME),--resume "$(RESUME)") > $(BENCH)/said
	@cat $(BENCH)/said
	$(PY) -m skyedge.report $$(tail -n 1 $(BENCH)/said) --out $(BENCH)/report --readme README.md --table docs/benchmarks.md
	cp $(BENCH)/report/pareto.svg results/pareto.svg

# ---- make release: the one released set of artifacts, metrics and model cards -------------------------------------------
# SHAPED are made the same way by `make shapes`; two of the eight are released, for a phone held either way.
RELEASED := $(LARGER) unet_lite_s/tflite-int8-256x192 unet_lite_s/tflite-int8-192x256 $(foreach net,$(LITE),$(foreach kind,onnx-fp32 onnx-int8 tflite-int8 tflite-uint8 ncnn-fp16 ncnn-int8,$(net)/$(kind))) $(addprefix u2netp/,ncnn-fp16 tflite-int8) \
  $(foreach kind,onnx-int8 tflite-int8 ncnn-fp16,u2netp_p5/$(kind)) $(OPEN_SET)
SCORED := $(LITE) $(OPEN) u2netp u2netp_p5 teacher

release: $(STAMP)  ## make release DATA=DIR OPEN_DATA=DIR: released artifacts (from make bench), test metrics and model cards in models/
	@test -n "$(DATA)" || { echo "got no DATA, expected make release DATA=DIR with the splits val/ and test/" >&2; exit 2; }
	$(need_open_data)
	@$(MAKE) --no-print-directory -j2 $(RELEASED:%=$(BENCH)/%/model.json)
	for kind in $(RELEASED); do rm -rf models/$$kind; cp -r $(BENCH)/$$kind models/$$kind; done
	$(if $(filter u2netp_open,$(OPEN)),$(PY) -m skyedge.skyseg --model models/u2netp_open/onnx-fp32 --out models/u2netp_open/skyseg.onnx --overwrite)
	$(PY) -m export.consumers.environments mediapipe
	@# Exit code 1: a program gives other masks than an artifact; the page says which.
	$(PY) export/lint.py $(RELEASED:%=models/%) --data "$(DATA)" --page docs/consumers.md > /dev/null || test $$? = 1
	$(PY) -m scenes.render --out runs/indoor --count 500 --seed 300000 --split test --kind indoor
	for net in $(SCORED); do \
	  $(PY) train/evaluate.py models/$$net/checkpoint.pt --data "$(DATA)" --split test --out runs/eval-$$net; \
	  cp runs/eval-$$net/metrics.json models/$$net/metrics.json; \
	  $(PY) train/evaluate.py models/$$net/checkpoint.pt --data runs/indoor --split test --out runs/eval-$$net-indoor; \
	  cp runs/eval-$$net-indoor/metrics.json models/$$net/metrics_indoor.json; \
	  $(PY) train/model_card.py models/$$net; done
	$(PY) -m edge_runtime.segment docs/photos/venice_canal.jpg --model models/unet_lite/tflite-int8 --out build/example --overlay --overwrite
	cp build/example/venice_canal.overlay.jpg results/example.jpg

# ---- the sky in the browser (docs/web.md) -------------------------------------------------------------------------------
.PHONY: web web-build web-packages web-bench
web-packages:
	$(call install_packages,chromium)

web_demo/node_modules/.package-lock.json: web_demo/package-lock.json
	@command -v npm >/dev/null || { echo "got no npm, expected Node.js 20.19 or later; docs/web.md tells where to get it" >&2; exit 2; }
	cd web_demo && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

web-build: web_demo/node_modules/.package-lock.json
	cd web_demo && npm run --silent build

web: web-build  ## build the web page and serve it on localhost; LAN=1: by https for a phone on the same network
	cd web_demo && node tools/serve.mjs $(if $(LAN),--lan)

web-bench: $(STAMP) web-build web-packages  ## measure the web page in headless chromium, into build/web/results.json and a report
	cd web_demo && node tools/bench.mjs --out ../build/web/results.json
	$(PY) -m skyedge.report build/web/results.json --out build/web/report

# ---- tests ------------------------------------------------------------------------------------------------------------
cpp: $(STAMP) packages  ## build cpp_demo against ncnn and run its tests
	cmake -S cpp_demo -B cpp_demo/build -DCMAKE_BUILD_TYPE=Release -DPython3_EXECUTABLE=$(CURDIR)/$(PY)
	cmake --build cpp_demo/build --parallel 2
	ctest --test-dir cpp_demo/build --output-on-failure

cpp-arm: cpp  ## build cpp_demo as one static binary for 64-bit Arm and run its tests in an emulator
	cmake -S cpp_demo -B cpp_demo/build/aarch64 -DCMAKE_BUILD_TYPE=Release -DPython3_EXECUTABLE=$(CURDIR)/$(PY) \
	  -DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/cpp_demo/cmake/aarch64.cmake
	cmake --build cpp_demo/build/aarch64 --parallel 2
	ctest --test-dir cpp_demo/build/aarch64 --output-on-failure

cpp-sanitize: $(STAMP) packages  ## cpp_demo's tests with AddressSanitizer and UndefinedBehaviorSanitizer, fuzzing corpus included
	cmake -S cpp_demo -B cpp_demo/build/sanitize -DCMAKE_BUILD_TYPE=Release -DSKYEDGE_SANITIZE=ON -DPython3_EXECUTABLE=$(CURDIR)/$(PY)
	cmake --build cpp_demo/build/sanitize --parallel 2
	ctest --test-dir cpp_demo/build/sanitize --output-on-failure

FUZZ_SECONDS ?= 600
cpp-fuzz: $(STAMP) packages  ## fuzz the C++ readers of artifacts and images for FUZZ_SECONDS each; build/fuzz/ keeps what they find
	$(call install_packages,$(FUZZ_PACKAGES))
	mkdir -p build/fuzz && $(PY) cpp_demo/fuzz/seeds.py build/fuzz/seeds
	for codec in opencv stb; do \
	  cmake -S cpp_demo -B cpp_demo/build/fuzz-$$codec -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=clang++-14 -DSKYEDGE_FUZZ=ON \
	    -DSKYEDGE_CODEC=$$codec -DPython3_EXECUTABLE=$(CURDIR)/$(PY); \
	  cmake --build cpp_demo/build/fuzz-$$codec --parallel 2 --target fuzz_model fuzz_image; done
	for job in model:opencv image:opencv image:stb; do \
	  kind=$${job%:*}; mkdir -p build/fuzz/$$job; \
	  cpp_demo/build/fuzz-$${job#*:}/fuzz/fuzz_$$kind -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=60 -rss_limit_mb=2500 \
	    -close_fd_mask=2 -dict=cpp_demo/fuzz/$$kind.dict -artifact_prefix=build/fuzz/ \
	    build/fuzz/$$job build/fuzz/seeds/$$kind cpp_demo/build/fuzz-$${job#*:}/fuzz/corpus/$$kind; done

FUZZ_EXAMPLES ?= 20000
fuzz: $(STAMP) cpp-fuzz  ## fuzz the Python readers with FUZZ_EXAMPLES examples each, then the C++ ones
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(PY) -m pytest tests/faults/test_fuzz_loaders.py --timeout 0

lint: $(STAMP)  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# One process a core; each file's tests stay in one of them.
PYTEST := $(PY) -m pytest -n auto --dist loadfile
check: lint  ## lint, types, and the tests that convert, train and compile nothing: the loop of daily work
	$(PYTEST) -m "not slow and not full"

test: $(STAMP) lint cpp-arm  ## lint, C++ and Python tests
	$(PYTEST)

test-full: $(STAMP) cpp-arm  ## test, and what takes longer
	$(PYTEST) -m ""

WHEELS ?= build/wheels
.PHONY: wheels
wheels: $(STAMP)  ## build/wheels/: skyedge with the weights of unet_lite_s, and skyedge-models with all released artifacts
	$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$(WHEELS)" . ./models

# The kernel is of an environment of its own; project.pth lets it see the packages of .venv, behind its own.
NOTEBOOKS := $(filter-out notebooks/common.py,$(wildcard notebooks/*.py))
.PHONY: notebooks
notebooks: $(STAMP)  ## execute notebooks/*.py into notebooks/*.ipynb
	$(PY) -m export.consumers.environments notebooks
	$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"), "$(CURDIR)", sep="\n")' > \
	  $$(echo .cache/envs/notebooks/lib/python3*/site-packages)/project.pth
	.cache/envs/notebooks/bin/python -m jupytext --quiet --to ipynb --execute $(NOTEBOOKS)

ZIG := .cache/ziglang/ziglang/zig
$(ZIG): $(STAMP)
	test -x $@ || $(PY) -m pip install --quiet --no-deps --target .cache/ziglang ziglang==0.17.1
	touch $@

dist: $(STAMP) $(ZIG) web_demo/node_modules/.package-lock.json  ## dist/: wheels, npm package, static programs and libraries, sources, models, SBOM, sums
	$(PY) -m tools.make_dist --zig $(ZIG)

clean:  ## remove what the commands here made, but for .venv and .cache
	rm -rf build cpp_demo/build web_demo/dist web_demo/dist-lib web_demo/public/models web_demo/public/photos web_demo/public/runtime
