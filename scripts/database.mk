# SPDX-License-Identifier: MIT
# `make compile_commands.json`: how each C file is compiled, for clangd, clang-tidy -p and editors.
# Once each: what the image and a unit test share stands there as the image has it.

DATABASE_IMAGE := $(HV_C) hv/offsets.c $(wildcard $(GUEST_NAMES:%=guests/%/*.c)) $(GUEST_LIB_C)
DATABASE_UNIT  := $(UNIT_TESTS:%=%_test.c) $(wildcard $(HV_DIRS:%=%/fake/*.c)) scripts/unit_support.c
DATABASE_FUZZ  := $(FUZZERS:$(BUILD)/fuzz/%=%.c)

define newline


endef

# $(call database-lines,COMPILER AND FLAGS,FILES); every line ends in a comma.
database-lines = $(foreach file,$(2),{"directory": "$(CURDIR)", "file": "$(file)", \
    "command": "$(strip $(1)) -c $(file)"},$(newline))

compile_commands.json: FORCE
	$(call note,GEN)
	$(Q)$(file >$@,[$(newline)$(call database-lines,$(CC) $(CFLAGS),$(DATABASE_IMAGE)) \
	    $(call database-lines,$(UNIT_CC) $(UNIT_CFLAGS),$(DATABASE_UNIT)) \
	    $(call database-lines,clang $(FUZZ_FLAGS),$(DATABASE_FUZZ)) \
	    {"directory": "$(CURDIR)", "file": "guests/linux/work.c", \
	    "command": "gcc -std=gnu17 -O2 -Wall -Wextra -c guests/linux/work.c"}$(newline)])

FORCE:
.PHONY: FORCE
