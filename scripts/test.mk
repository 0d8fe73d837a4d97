# SPDX-License-Identifier: MIT
# `make run`, `make run-linux`, `make test`, `make check`, `make lint`, `make bench`, `make fuzz`, and how the fuzz
# targets are built: X_fuzz.c, for the build machine, by clang with libFuzzer. (Unit tests: scripts/unit.mk.)

# What is missing on this machine is installed before anything is built; setup.sh says so.
MACHINE ?= qemu
ACCEL   ?= tcg

setup-all   := build iso
setup-guests := build
setup-run   := build iso $(if $(filter bochs-%,$(MACHINE)),bochs,qemu)
setup-bench := build iso qemu bochs
setup-run-linux := build iso $(if $(filter bochs-%,$(MACHINE)),bochs,qemu)
setup-bench-linux := build iso qemu bochs
setup-unit  := build test
setup-fuzz  := build test
setup-lint  := build test lint
setup-test  := build iso qemu bochs test lint
setup-check := build iso qemu bochs test
SETUP := $(sort $(foreach goal,$(or $(MAKECMDGOALS),all),$(setup-$(goal))))
ifneq ($(SETUP),)
ifneq ($(shell scripts/setup.sh $(SETUP) >&2 || echo failed),)
$(error scripts/setup.sh could not install what is needed)
endif
endif

SECONDS ?= 60
FUZZERS := $(patsubst %.c,$(BUILD)/fuzz/%,$(wildcard boot/*_fuzz.c hypercalls/*_fuzz.c))

# The direct map is an array (hv/base/phys.h). A fuzzer names what it links as a unit test does, in
#     /* fuzz: x.c mm/pool.c */
FUZZ_FLAGS := -std=gnu17 -O1 -g -DDIRECT_MAP_BASE=0x200000000000UL -Wall -Wextra -Wno-unused-parameter -fno-strict-aliasing -I.
FUZZ_CHECK := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

fuzz-sources = $(1).c $(call with_groups,$(shell sed -n 's@^/\* fuzz: \(.*\) \*/$$@\1@p' $(1).c))

define FUZZ_RULE
$(BUILD)/fuzz/$(1): $(patsubst %.c,$(BUILD)/fuzz/%.o,$(call fuzz-sources,$(1)))
	$$(call note,LD)
	$$(Q)clang $$(FUZZ_FLAGS) $$(FUZZ_CHECK) -o $$@ $$^
endef
$(foreach fuzzer,$(FUZZERS:$(BUILD)/fuzz/%=%),$(eval $(call FUZZ_RULE,$(fuzzer))))

$(BUILD)/fuzz/%.o: %.c
	$(call note,CC)
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) $(subst fuzzer,fuzzer-no-link,$(FUZZ_CHECK)) -MMD -MP -c -o $@ $<

# The fake machine itself is not what is tested: without the sanitizers it is ten times as fast.
$(BUILD)/fuzz/hypercalls/fake/%.o: hypercalls/fake/%.c
	$(call note,CC)
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) -O2 -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD)/fuzz -name '*.d' 2>/dev/null)

# Everything for the build machine that scripts/test.py runs.
host-tests: $(FUZZERS) $(UNIT_TESTS:%=$(UNIT_DIR)/%_test)

test:
	@BUILD=$(BUILD) python3 scripts/test.py

# The quick part of it, minutes.
check:
	@BUILD=$(BUILD) python3 scripts/test.py --quick

lint:
	@scripts/lint.sh

# One fuzzer after another, by hand: make fuzz SECONDS=600
fuzz: $(FUZZERS)
	@for fuzzer in $(FUZZERS); do mkdir -p $$fuzzer.corpus && \
	    $$fuzzer -max_total_time=$(SECONDS) -timeout=20 -artifact_prefix=$$fuzzer- \
	    $$fuzzer.corpus || exit 1; done

# The demonstration. MACHINE=qemu|bochs-intel|bochs-amd, ACCEL=tcg|kvm.
run: $(BUILD)/vellum.elf $(BUILD)/guests/statepage.elf
	@scripts/boot.sh --machine $(MACHINE) --accel $(ACCEL) --timeout 300 $(BUILD)/guests/statepage.elf

# Debian's stock kernel as the first partition, with a shell.
run-linux: $(BUILD)/vellum.elf
	@BUILD=$(BUILD) scripts/linux.sh shell --machine $(MACHINE) --accel $(ACCEL)

# What Linux loses on it, beside the bare machine. BENCH_OPTIONS="--quick"
bench-linux: $(BUILD)/vellum.elf
	@BUILD=$(BUILD) python3 scripts/bench_linux.py $(BENCH_OPTIONS)

bench: $(BUILD)/vellum.elf $(BUILD)/guests/bench.elf $(BUILD)/guests/hello.elf
	@BUILD=$(BUILD) python3 scripts/bench.py

.PHONY: host-tests test check lint fuzz run run-linux bench bench-linux
