# SPDX-License-Identifier: MIT
# The bundled guests: one Multiboot kernel for each folder of guests/ with sources.
#   build/guests/NAME.elf from guests/NAME/*.c *.asm, guests/lib and two files of hv/base/

GUEST_NAMES := $(filter-out lib linux,$(sort $(patsubst guests/%/,%,$(dir $(wildcard guests/*/*.c)))))
GUESTS      := $(GUEST_NAMES:%=$(BUILD)/guests/%.elf)

GUEST_LIB_C   := $(filter-out %_test.c,$(wildcard guests/lib/*.c))
GUEST_LIB_ASM := $(wildcard guests/lib/*.asm)
GUEST_LIB     := $(GUEST_LIB_C:%.c=$(BUILD)/%.o) $(GUEST_LIB_ASM:%.asm=$(BUILD)/%.asm.o) \
                 $(BUILD)/hv/base/console.o $(BUILD)/hv/base/string.o

guest-objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard guests/$(1)/*.c)) \
                $(patsubst %.asm,$(BUILD)/%.asm.o,$(wildcard guests/$(1)/*.asm))

define guest-rules
$(BUILD)/guests/$(1).64.elf: $(call guest-objects,$(1)) $(GUEST_LIB) guests/lib/guest.ld
	$$(call note,LD)
	$$(Q)$$(LD) -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none --no-warn-rwx-segments \
	    -T guests/lib/guest.ld -o $$@ $(call guest-objects,$(1)) $(GUEST_LIB)
$(BUILD)/guests/$(1).elf: $(BUILD)/guests/$(1).64.elf
	$$(call note,OBJCOPY)
	$$(Q)$$(OBJCOPY) -O elf32-i386 --strip-debug $$< $$@
-include $(patsubst %.o,%.d,$(filter-out %.asm.o,$(call guest-objects,$(1))))
endef
$(foreach name,$(GUEST_NAMES),$(eval $(call guest-rules,$(name))))

guests: $(GUESTS)

$(GUEST_LIB_ASM:%.asm=$(BUILD)/%.asm.o): guests/lib/layout.inc
-include $(GUEST_LIB_C:%.c=$(BUILD)/%.d)
.PHONY: guests
