# SPDX-License-Identifier: MIT
# Unit tests: x_test.c beside x.c, built for this machine with sanitizers.
# `make unit` runs all, `make unit TEST=mm/slpt` one. A test names the sources it links in a line
#     /* unit: x.c mm/pool.c */
# scripts/unit-include comes first in the include path.

UNIT_CC     := gcc
UNIT_CFLAGS := -std=gnu17 -O1 -g -pthread -fsanitize=address,undefined -fno-sanitize-recover=all \
               -fno-omit-frame-pointer -fno-strict-aliasing -DDIRECT_MAP_BASE=0x200000000000UL \
               $(WARNINGS) -Iscripts/unit-include -I.
UNIT_DIR    := $(BUILD)/unit
UNIT_TESTS  := $(patsubst %_test.c,%,$(wildcard $(HV_DIRS:%=%/*_test.c)))
UNIT_RUN    := $(if $(TEST),$(TEST),$(UNIT_TESTS))

# +hypercalls in such a line: all that answers a hypercall, on a fake machine.
NOT_FAKE := mm/boot_memory.c hypercalls/fake/calls.c hypercalls/fake/seeds.c hv/model/fpu.c hv/model/fpu_fast.c
GROUP_hypercalls := $(filter-out %_test.c %_fuzz.c $(NOT_FAKE),$(wildcard hypercalls/*.c hypercalls/fake/*.c \
                      hv/model/*.c hv/synthetic/*.c mm/*.c)) hv/run.c hv/msr.c hv/base/features.c
with_groups = $(subst +hypercalls,$(GROUP_hypercalls),$(1))

unit_sources = $(1)_test.c scripts/unit_support.c \
               $(call with_groups,$(shell sed -n 's@^/\* unit: \(.*\) \*/$$@\1@p' $(1)_test.c))

$(UNIT_DIR)/%.o: %.c
	$(call note,CC)
	@mkdir -p $(@D)
	$(Q)$(UNIT_CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

define UNIT_RULE
$(UNIT_DIR)/$(1)_test: $(patsubst %.c,$(UNIT_DIR)/%.o,$(call unit_sources,$(1))) $(1)_test.c
	$$(call note,LD)
	$$(Q)$(UNIT_CC) $(UNIT_CFLAGS) -o $$@ $$(filter %.o,$$^) -lcmocka
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call UNIT_RULE,$(t))))

unit: $(UNIT_RUN:%=$(UNIT_DIR)/%_test)
	@failed=0; for t in $(UNIT_RUN); do \
	    log=$(UNIT_DIR)/$${t}_test.log; \
	    if timeout 300 $(UNIT_DIR)/$${t}_test >$$log 2>&1; then \
	        echo "unit: $$t: $$(sed -n 's/^\[  PASSED  \] \([0-9]*\).*/\1/p' $$log) passed"; \
	    else \
	        echo "unit: $$t: FAILED"; cat $$log; failed=1; \
	    fi; \
	done; exit $$failed

-include $(shell find $(UNIT_DIR) -name '*.d' 2>/dev/null)
.PHONY: unit
