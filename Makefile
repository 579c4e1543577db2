# SPDX-License-Identifier: GPL-2.0
#
# Read by Kbuild (out of tree with M=, or in a kernel tree as drivers/spdm), and by hand for everything else:
# "make help" lists what there is.

ifneq ($(KERNELRELEASE),)

# Out of tree there is no Kconfig.
ifdef KBUILD_EXTMOD
CONFIG_SPDM ?= m
rustflags-y += --cfg CONFIG_SPDM --cfg 'CONFIG_SPDM="m"'
ccflags-y += -DCONFIG_SPDM_MODULE=1
ifdef CONFIG_MCTP
CONFIG_SPDM_MCTP ?= y
rustflags-y += --cfg CONFIG_SPDM_MCTP
ccflags-y += -DCONFIG_SPDM_MCTP=1
endif
ifdef CONFIG_KUNIT
CONFIG_SPDM_KUNIT_TEST ?= y
rustflags-y += --cfg CONFIG_SPDM_KUNIT_TEST
endif
endif

obj-$(CONFIG_SPDM) += spdm.o

# Two crates: spdm/spdm_core.rs is the protocol, cma/spdm.rs the rest.
spdm-y := spdm/spdm_core.o cma/spdm.o cma/shim.o cma/netlink.o cma/publish.o keyring/shim.o cma/roots.o

spdm-$(CONFIG_SPDM_MCTP) += mctp/shim.o

ccflags-y += -I$(src)/cma -I$(src)/keyring

# Whether the kernel verifies ML-DSA signatures with a context string.
ccflags-y += $(if $(shell grep -s mldsa_verify_with_context $(srctree)/include/crypto/mldsa.h),-DSPDM_MLDSA_CONTEXT)

# Kbuild says no_std on the command line, the file says it for Cargo.
RUSTFLAGS_spdm/spdm_core.o += -Aclippy::duplicated_attributes
RUSTFLAGS_spdm/spdm_core.o += --emit=metadata=$(obj)/spdm/libspdm_core.rmeta
RUSTFLAGS_cma/spdm.o += -L $(obj)/spdm --extern spdm_core

# Bindings for the headers that the kernel crate's own do not cover.
ifdef CONFIG_CC_IS_CLANG
spdm_bindgen_c_flags = $(c_flags)
else
# What libclang does not know; the list of rust/Makefile.
spdm_bindgen_skip_c_flags := -mno-fp-ret-in-387 -mpreferred-stack-boundary=% \
	-mskip-rax-setup -mgeneral-regs-only -msign-return-address=% \
	-mindirect-branch=thunk-extern -mindirect-branch-register \
	-mfunction-return=thunk-extern -mrecord-mcount -mabi=lp64 \
	-mindirect-branch-cs-prefix -mstack-protector-guard% -mtraceback=no \
	-mno-pointers-to-nested-functions -mno-string -mno-strict-align \
	-fconserve-stack -falign-jumps=% -falign-loops=% \
	-fno-ipa-cp-clone -fno-ipa-sra -fno-partial-inlining \
	-fplugin-arg-arm_ssp_per_task_plugin-% \
	-fno-reorder-blocks -fno-allow-store-data-races -fasan-shadow-offset=% \
	-fzero-call-used-regs=% -fno-stack-clash-protection \
	-fno-inline-functions-called-once -fsanitize=bounds-strict \
	-fstrict-flex-arrays=% -fmin-function-alignment=% \
	-fzero-init-padding-bits=% -mno-fdpic -fdiagnostics-show-context \
	-fdiagnostics-show-context=% --param=% --param asan-%
spdm_bindgen_c_flags = $(filter-out $(spdm_bindgen_skip_c_flags),$(c_flags)) -w --target=x86_64-linux-gnu
endif

quiet_cmd_spdm_bindgen = BINDGEN $@
      cmd_spdm_bindgen = \
	$(BINDGEN) $< --rust-target 1.85 --use-core --with-derive-default \
		--ctypes-prefix ffi --no-layout-tests --no-debug '.*' \
		--no-doc-comments --no-recursive-allowlist \
		--enable-function-attribute-detection \
		--allowlist-file '.*/linux/pci-doe.h' \
		--allowlist-file '.*/keys/asymmetric-type.h' \
		--allowlist-file '.*/crypto/public_key.h' \
		--allowlist-file '.*/crypto/sha[23].h' \
		--allowlist-file '(.*/)?cma/netlink.h' \
		--allowlist-file '(.*/)?cma/spdm.h' \
		--allowlist-file '(.*/)?cma/shim.h' \
		--allowlist-file '(.*/)?keyring/shim.h' \
		--allowlist-file '(.*/)?mctp/shim.h' \
		--allowlist-type OID --allowlist-function key_instantiate_and_link \
		--allowlist-type blacklist_hash_type --allowlist-function mark_hash_blacklisted \
		--blocklist-function query_asymmetric_key \
		-o $@ -- $(spdm_bindgen_c_flags) -fno-builtin -D__BINDGEN__ -DMODULE

$(obj)/cma/bindings_generated.rs: private part-of-module := y
$(obj)/cma/bindings_generated.rs: $(src)/cma/bindings_helper.h FORCE
	$(call if_changed_dep,spdm_bindgen)
targets += cma/bindings_generated.rs
clean-files += cma/bindings_generated.rs cma/roots.der spdm/libspdm_core.rmeta

$(obj)/cma/spdm.o: $(obj)/cma/bindings_generated.rs $(obj)/spdm/spdm_core.o
export SPDM_OBJ := $(abspath $(obj))

# The root certificates compiled in: PEM to DER.
spdm_roots := $(CONFIG_SPDM_ROOTS:"%"=%)
ifneq ($(spdm_roots),)
spdm_roots := $(if $(filter /%,$(spdm_roots)),,$(srctree)/)$(spdm_roots)
endif
quiet_cmd_spdm_roots = ROOTS   $@
      cmd_spdm_roots = awk '/-----BEGIN CERTIFICATE/ { c = ""; on = 1; next } \
	/-----END CERTIFICATE/ { print c; on = 0 } on { c = c $$0 }' /dev/null $(spdm_roots) | \
	while read -r c; do printf %s "$$c" | base64 -d || exit 1; done > $@
$(obj)/cma/roots.der: $(spdm_roots) FORCE
	$(call if_changed,spdm_roots)
targets += cma/roots.der
AFLAGS_cma/roots.o := -I$(obj)/cma
$(obj)/cma/roots.o: $(obj)/cma/roots.der

else

include tools/testing/Makefile.user

KDIR ?= /lib/modules/$(shell uname -r)/build
# Build with the kernel's own compiler where it is installed under its name.
KCC := $(shell sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ ]*\).*/\1/p' $(KDIR)/.config 2>/dev/null)
KFLAGS := $(if $(shell command -v $(KCC) 2>/dev/null),CC=$(KCC)) $(if $(MO),MO=$(abspath $(MO)))

modules modules_install: check-kdir
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(KFLAGS) $@

clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(KFLAGS) $@

check-kdir:
	@tools/check-kdir $(KDIR)

help:
	@echo "  modules          - build spdm.ko for the kernel at KDIR (default: the running one's)"
	@echo "  modules_install  - install it there"
	@echo "  clean            - remove what was built"
	@echo "  in-tree          - put the tree into the kernel source KERNEL_SRC as drivers/spdm"
	@echo "  run              - attest an emulated drive on the stock kernel"
	@echo "  test             - run all tests, or those whose name contains T"
	@echo "  bench            - measure attestations on the stock kernel"
	@echo "  bench-host       - measure each step of the requester itself, without a kernel"
	@echo "  coverage         - which lines the unit tests run"
	@echo "  tools            - build spdmctl, which shows and verifies what the kernel found out"
	@echo "  fuzz             - fuzz TARGET, or every target, for TIME seconds each"
	@echo "  stress           - all that can happen to a device at random, for TIME seconds, from SEED"
	@echo "  faults           - list the values of FAULT"
	@echo "  clean-cache      - remove what run and test have prepared"
	@echo "README.rst has the options."

.PHONY: modules modules_install clean check-kdir help

endif
