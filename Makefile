# SPDX-License-Identifier: MIT
# Vellum. `make` builds build/vellum.elf and build/vellum.iso; see README.md. It prints a short line
# for each file; `make V=1` prints the commands, `make -s` nothing.

CROSS := $(firstword $(foreach p,x86_64-elf- x86_64-linux-gnu-,$(if $(shell command -v $(p)gcc 2>/dev/null),$(p))))
CC      := $(CROSS)gcc
LD      := $(CROSS)ld
OBJCOPY := $(CROSS)objcopy
NASM    := nasm
BUILD   := build

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wno-unused-parameter -Werror
CFLAGS := -std=gnu17 -O2 -g -ffreestanding -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
          -fno-strict-aliasing -mno-red-zone -mgeneral-regs-only -mcmodel=small $(WARNINGS) -I.

HV_DIRS := boot hv hv/base hv/model hv/machine hv/synthetic vmx svm mm hypercalls
HV_C    := $(filter-out %_test.c %_fuzz.c hv/offsets.c,$(wildcard $(HV_DIRS:%=%/*.c)))
HV_ASM  := $(wildcard $(HV_DIRS:%=%/*.asm))
HV_OBJ  := $(HV_C:%.c=$(BUILD)/%.o) $(HV_ASM:%.asm=$(BUILD)/%.asm.o)

# A recipe's first line is $(call note,CC); its commands begin with $(Q).
Q     := $(if $(filter 1,$(V)),,@)
quiet = $(or $(filter 1,$(V)),$(findstring s,$(firstword -$(MAKEFLAGS))))
note  = @$(if $(quiet),:,echo '  $(1)  $(@:$(BUILD)/%=%)')

all: $(BUILD)/vellum.elf $(BUILD)/vellum.iso

.SUFFIXES: # none of make's own rules: `make mm/slpt.o` would compile into the sources

# Offsets into C structures for nasm, generated from hv/offsets.c.
$(BUILD)/offsets.inc: hv/offsets.c
	$(call note,GEN)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -MT $@ -MF $(BUILD)/offsets.d -S -o $(BUILD)/offsets.s $<
	$(Q)sed -n 's/^.*@@\([A-Za-z0-9_]*\) \$$*\([0-9-]*\).*$$/%define \1 \2/p' $(BUILD)/offsets.s > $@

$(BUILD)/%.o: %.c
	$(call note,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/%.asm.o: %.asm $(BUILD)/offsets.inc hv/base/registers.inc
	$(call note,AS)
	@mkdir -p $(@D)
	$(Q)$(NASM) -f elf64 -g -I$(BUILD)/ -I./ -o $@ $<

$(BUILD)/vellum64.elf: $(HV_OBJ) boot/link.ld
	$(call note,LD)
	$(Q)$(LD) -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none \
	    -T boot/link.ld -o $@ $(HV_OBJ)

# The Multiboot image: 32-bit ELF, as `qemu -kernel` wants it.
$(BUILD)/vellum.elf: $(BUILD)/vellum64.elf
	$(call note,OBJCOPY)
	$(Q)$(OBJCOPY) -O elf32-i386 --strip-debug $< $@

include guests/guests.mk
include scripts/unit.mk
include scripts/test.mk
include scripts/database.mk

# One ISO for BIOS and UEFI, CD and USB stick, with a bundled guest as the first partition.
ISO_GUEST := $(firstword $(filter %/statepage.elf,$(GUESTS)) $(GUESTS))
$(BUILD)/vellum.iso: $(BUILD)/vellum.elf $(ISO_GUEST) scripts/mkiso.sh
	$(call note,ISO)
	$(Q)VELLUM_IMAGE=$(BUILD)/vellum.elf scripts/mkiso.sh $@ "" $(ISO_GUEST) ""

# The interface's headers, for programs that include <vellum/abi.h>.
PREFIX      ?= /usr/local
INCLUDE_DIR := $(DESTDIR)$(PREFIX)/include/vellum
ABI_HEADERS := $(wildcard hypercalls/abi*.h)

install:
	install -d "$(INCLUDE_DIR)"
	install -m 644 $(ABI_HEADERS) "$(INCLUDE_DIR)"

uninstall:
	rm -f $(ABI_HEADERS:hypercalls/%="$(INCLUDE_DIR)"/%)
	[ ! -d "$(INCLUDE_DIR)" ] || rmdir --ignore-fail-on-non-empty "$(INCLUDE_DIR)"

clean:
	rm -rf $(BUILD) compile_commands.json

-include $(HV_C:%.c=$(BUILD)/%.d) $(BUILD)/offsets.d
.PHONY: all clean install uninstall
