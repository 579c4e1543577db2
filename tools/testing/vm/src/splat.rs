// SPDX-License-Identifier: GPL-2.0

//! What a kernel says when something in it is wrong.

/// Beginnings of such lines, after the time stamp, or words that only occur in them.
const SIGNS: &[&str] = &[
    "Kernel panic",
    "Oops: ",
    "BUG: ",
    "kernel BUG at",
    "WARNING: ",
    "INFO: possible ",
    "INFO: task ",
    "INFO: rcu",
    "rcu: INFO:",
    "INFO: trying to register non-static key",
    "possible circular locking",
    "possible recursive locking",
    "suspicious RCU usage",
    "general protection fault",
    "unable to handle",
    "refcount_t: ",
    "ODEBUG: ",
    "UBSAN: ",
    "KASAN: ",
    "KFENCE: ",
    "unreferenced object ",
    "Call Trace:",
    "sysfs: cannot create duplicate",
    "list_add corruption",
    "list_del corruption",
    "scheduling while atomic",
    "sleeping function called from invalid context",
    "rust_kernel: panicked",
    "soft lockup",
];

/// Whether a line of the console shows that the kernel is unwell.
pub fn is_splat(line: &str) -> bool {
    SIGNS.iter().any(|sign| line.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::is_splat;

    #[test]
    fn splat_is_told_from_ordinary_lines() {
        assert!(is_splat(
            "[    1.2] WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2"
        ));
        assert!(is_splat(
            "[    1.2] BUG: kernel NULL pointer dereference, address: 0"
        ));
        assert!(is_splat(
            "[   10.0] unreferenced object 0xffff888100 (size 32):"
        ));
        assert!(!is_splat("[    0.0] ACPI: Core revision 20250404"));
        assert!(!is_splat("[    2.0] spdm: loading out-of-tree module"));
    }
}
