// SPDX-License-Identifier: GPL-2.0

//! The certificate chains a slot can hold, by name.

/// Whether a careful requester takes a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It should be accepted.
    Good,
    /// It has to be refused.
    Bad,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct VariantInfo {
    /// The variant.
    pub variant: Variant,
    /// Its name on the command line and in the control channel.
    pub name: &'static str,
    /// Ids of the list of attacks that it plays.
    pub ids: &'static [&'static str],
    /// What a requester ought to think of it.
    pub verdict: Verdict,
    /// What it is, for people.
    pub text: &'static str,
}

macro_rules! variants {
    ($($variant:ident $name:literal [$($id:literal),*] $verdict:ident $text:literal;)*) => {
        /// A certificate chain by what is right or wrong with it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Variant {
            $(#[doc = $text] $variant,)*
        }

        /// Every variant.
        pub const VARIANTS: &[VariantInfo] = &[
            $(VariantInfo {
                variant: Variant::$variant,
                name: $name,
                ids: &[$($id),*],
                verdict: Verdict::$verdict,
                text: $text,
            },)*
        ];
    };
}

variants! {
    Ok "ok" [] Good "root, intermediate, leaf";
    Len1 "len1" [] Good "one certificate: the leaf, issued by the root, which is left out";
    Len2 "len2" [] Good "root and leaf";
    Len3 "len3" [] Good "the same as ok";
    Len4 "len4" [] Good "root, two intermediates, leaf";
    Len5 "len5" [] Good "root, three intermediates, leaf";
    NoRoot "noroot" [] Good "intermediate and leaf; the root is left out";
    NoRoot3 "noroot3" [] Good "two intermediates and leaf; the root is left out";
    NoRoot4 "noroot4" [] Good "three intermediates and leaf; the root is left out";
    NoRoot5 "noroot5" [] Good "four intermediates and leaf; the root is left out";
    NoExpiry "no-expiry" [] Good "leaf valid until 9999-12-31, as device identities often are";
    NoEku "no-eku" [] Good "leaf without extended key usage";
    ManyEkus "many-ekus" [] Good "leaf with the responder's extended key usage among others";
    ExtraExtension "extra-extension" [] Good "leaf with an unknown extension that is not critical";
    HardwareIdentity "hardware-identity" ["C10"] Good
        "leaf with the hardware identity OID: right, unless the device says ALIAS_CERT_CAP (flags=)";
    Untrusted "untrusted" ["C6"] Bad "another root with the same names";
    UntrustedSameId "untrusted-same-id" ["C6"] Bad
        "another root with the same names and the same subject key identifier";
    SelfSigned "self-signed" ["C6"] Bad "one self-signed leaf";
    Stolen "stolen" ["C11"] Bad "the right chain, but the device signs with a key of its own";
    RootHash "root-hash" ["C5"] Bad "RootHash is not that of the root";
    Expired "expired" ["C8"] Bad "leaf expired in 2021";
    NotYet "not-yet" ["C8"] Bad "leaf valid from 2080";
    ExpiredIntermediate "expired-intermediate" ["C8"] Bad "intermediate expired in 2021";
    CaLeaf "ca-leaf" ["C8"] Bad "leaf is a certificate authority";
    NoKeyUsage "no-key-usage" ["C8"] Bad "leaf without keyUsage";
    WrongKeyUsage "wrong-key-usage" ["C8"] Bad "leaf whose keyUsage lacks digitalSignature";
    WrongEku "wrong-eku" ["C8"] Bad "leaf with the requester's extended key usage only";
    NoBasicConstraints "no-basic-constraints" ["C8"] Bad
        "leaf without basicConstraints (mandatory from 1.3)";
    LeafV1 "leaf-v1" ["C8"] Bad "leaf of X.509 version 1, without extensions";
    KeyMismatch "key-mismatch" ["C9"] Bad "leaf key of another algorithm than the negotiated one";
    NoSan "no-san" ["C11"] Bad "leaf without subjectAltName";
    OtherSan "other-san" ["C11"] Bad "subjectAltName of another device";
    TwoSans "two-sans" ["C11"] Bad "two CMA names, the second one right";
    TwoSanExtensions "two-san-extensions" ["C11"] Bad
        "two subjectAltName extensions, the second one right";
    OddCaseSan "odd-case-san" ["C11"] Bad "subjectAltName with upper-case hexadecimal digits and keys";
    LongSan "long-san" ["C11"] Bad "subjectAltName with text after the CMA name";
    PathLength "pathlen" ["C12"] Bad "an intermediate below one with path length 0";
    Hundred "hundred" ["C12"] Bad "100 certificates, or as many as fit in 64 KiB";
    Loop "loop" ["C12"] Bad "two intermediates that issued each other";
    Reordered "reordered" ["C12"] Bad "leaf first, root last";
    Gap "gap" ["C12"] Bad "the leaf's issuer is left out, the root is there";
    IssuerNotCa "issuer-not-ca" ["C12"] Bad "intermediate is no certificate authority";
    IssuerNoCertSign "issuer-no-cert-sign" ["C12"] Bad "intermediate whose keyUsage lacks keyCertSign";
    BadCertSignature "bad-cert-signature" ["C6"] Bad "one bit of the leaf's signature is wrong";
    BadIntermediateSignature "bad-intermediate-signature" ["C6"] Bad
        "one bit of the intermediate's signature is wrong";
    UnknownCritical "unknown-critical" ["C8"] Bad "leaf with an unknown critical extension";
    LengthShort "length-short" ["C14"] Bad "Length of the chain is 4 less than what is sent";
    LengthLong "length-long" ["C14"] Bad "Length of the chain is 4 more than what is sent";
    TrailingBytes "trailing-bytes" ["C14"] Bad "4 bytes after the last certificate";
    CutCertificate "cut-certificate" ["C14"] Bad "the last 4 bytes of the leaf are missing";
    NoCertificates "no-certificates" ["C14"] Bad "Length and RootHash only";
    Garbage "garbage" ["C14"] Bad "bytes that are no DER in place of certificates";
}

impl Variant {
    /// The row of the table.
    pub fn info(self) -> &'static VariantInfo {
        // The table is made from the same list in the same order.
        &VARIANTS[self as usize]
    }

    /// The words of the control channel that have it served by a device with MEAS_CAP, in the way that is worth seeing.
    pub fn words(self) -> String {
        let needs = match self {
            // ALIAS_CERT_CAP.
            Variant::HardwareIdentity => "flags=0x40016 ",
            _ => "",
        };
        format!("{needs}slot0={}", self.info().name)
    }

    /// Finds a variant by its name.
    pub fn from_name(name: &str) -> Option<Variant> {
        VARIANTS.iter().find(|v| v.name == name).map(|v| v.variant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn table_is_in_order_and_names_are_unique() {
        let mut names = HashSet::new();
        for (i, info) in VARIANTS.iter().enumerate() {
            assert_eq!(info.variant as usize, i);
            assert_eq!(Variant::from_name(info.name), Some(info.variant));
            assert!(names.insert(info.name), "{}", info.name);
        }
        assert_eq!(Variant::from_name("fine"), None);
    }
}
