/* SPDX-License-Identifier: GPL-2.0 */
/* The certificates of CONFIG_SPDM_ROOTS, one DER object after the other. */
	.section .rodata, "a"
	.globl spdm_builtin_roots
spdm_builtin_roots:
	.incbin "roots.der"
	.globl spdm_builtin_roots_end
spdm_builtin_roots_end:
	.section .note.GNU-stack, "", %progbits
