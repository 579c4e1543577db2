/* SPDX-License-Identifier: GPL-2.0 */
#include <crypto/public_key.h>
#include <crypto/sha2.h>
#include <crypto/sha3.h>
#include <keys/asymmetric-type.h>
#include <keys/system_keyring.h>
#include <linux/pci.h>
#include <linux/pci-doe.h>

#include "netlink.h"
#include "shim.h"
#include "spdm.h"
#include "../keyring/shim.h"
#include "../mctp/shim.h"
