/* SPDX-License-Identifier: GPL-2.0 */
/* Identity of the emulated functions, shared by the emulator and its driver */

#ifndef DOE_EMU_H
#define DOE_EMU_H

/* Not assigned by the vendor. The functions exist in an emulated domain only. */
#define DOE_EMU_VENDOR		0x1b36
#define DOE_EMU_DEVICE		0xd0e0
#define DOE_EMU_CLASS		0xff0000
#define DOE_EMU_REVISION	0x01

#endif
