// SPDX-License-Identifier: GPL-2.0

//! Codes, names and sizes of the messages (DSP0274, "SPDM request codes", "SPDM response codes").

/// The version in the header of GET_VERSION and VERSION, whatever is negotiated.
pub const VERSION_10: u8 = 0x10;
/// SPDM 1.1.
pub const VERSION_11: u8 = 0x11;
/// SPDM 1.2.
pub const VERSION_12: u8 = 0x12;
/// SPDM 1.3.
pub const VERSION_13: u8 = 0x13;
/// SPDM 1.4.
pub const VERSION_14: u8 = 0x14;

/// Response code of ERROR.
pub const ERROR: u8 = 0x7F;
/// Request code of RESPOND_IF_READY.
pub const RESPOND_IF_READY: u8 = 0xFF;
/// Size of a message header in bytes: version, code, Param1, Param2.
pub const HEADER_SIZE: usize = 4;
/// Size of a nonce in bytes.
pub const NONCE_SIZE: usize = 32;
/// Size of RequesterContext in bytes (1.3).
pub const CONTEXT_SIZE: usize = 8;
/// Number of certificate slots.
pub const SLOTS: usize = 8;
/// Smallest DataTransferSize, in bytes (1.2).
pub const MIN_DATA_TRANSFER_SIZE: u32 = 42;

/// CAPABILITIES: certificates can be asked for.
pub const CERT_CAP: u32 = 0x0000_0002;
/// CAPABILITIES: CHALLENGE is answered.
pub const CHAL_CAP: u32 = 0x0000_0004;
/// CAPABILITIES: measurements can be asked for, with (2) or without (1) a signature.
pub const MEAS_CAP: u32 = 0x0000_0018;
/// The same: with a signature.
pub const MEAS_CAP_SIG: u32 = 0x0000_0010;
/// CAPABILITIES: there are no certificates, but a public key that the requester knows (1.1).
pub const PUB_KEY_ID_CAP: u32 = 0x0001_0000;
/// SlotID of that key.
pub const PUBLIC_KEY_SLOT: u8 = 0xFF;
/// CAPABILITIES: whether there may be several keys (1.3): 1 never less, 2 if it is asked for.
pub const MULTI_KEY_CAP: u32 = 0x0C00_0000;
/// The same: never less.
pub const MULTI_KEY_ONLY: u32 = 0x0400_0000;
/// CAPABILITIES: GET_KEY_PAIR_INFO is answered, which has to be so with several keys (1.3).
pub const GET_KEY_PAIR_INFO_CAP: u32 = 0x1000_0000;
/// OtherParamsSupport: the requester takes several keys (1.3).
pub const MULTI_KEY_CONN: u8 = 0x10;
/// KeyUsageMask: the key signs CHALLENGE_AUTH (1.3).
pub const CHALLENGE_USE: u16 = 0x0002;
/// KeyUsageMask: the key signs MEASUREMENTS (1.3).
pub const MEASUREMENT_USE: u16 = 0x0004;
/// KeyUsageMask: the uses that the standard knows (1.3).
pub const STANDARD_USES: u16 = 0x000F;
/// CAPABILITIES, both sides: large messages in chunks (1.2).
pub const CHUNK_CAP: u32 = 0x0002_0000;
/// CAPABILITIES: portions of certificate chains with 32-bit lengths (1.4).
pub const LARGE_RESP_CAP: u32 = 0x8000_0000;

/// An exchange that this responder knows, by its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// GET_VERSION, VERSION.
    Version,
    /// GET_CAPABILITIES, CAPABILITIES.
    Capabilities,
    /// NEGOTIATE_ALGORITHMS, ALGORITHMS.
    Algorithms,
    /// GET_DIGESTS, DIGESTS.
    Digests,
    /// GET_CERTIFICATE, CERTIFICATE.
    Certificate,
    /// CHALLENGE, CHALLENGE_AUTH.
    Challenge,
    /// GET_MEASUREMENTS, MEASUREMENTS.
    Measurements,
}

impl Exchange {
    /// All of them that a verdict needs, in the order of an attestation.
    pub const ALL: [Exchange; 6] = [
        Exchange::Version,
        Exchange::Capabilities,
        Exchange::Algorithms,
        Exchange::Digests,
        Exchange::Certificate,
        Exchange::Challenge,
    ];

    /// All of them.
    fn every() -> impl Iterator<Item = Exchange> {
        Self::ALL.into_iter().chain([Exchange::Measurements])
    }

    /// The code of the request.
    pub fn request_code(self) -> u8 {
        match self {
            Exchange::Version => 0x84,
            Exchange::Capabilities => 0xE1,
            Exchange::Algorithms => 0xE3,
            Exchange::Digests => 0x81,
            Exchange::Certificate => 0x82,
            Exchange::Challenge => 0x83,
            Exchange::Measurements => 0xE0,
        }
    }

    /// The code of the response.
    pub fn response_code(self) -> u8 {
        self.request_code() & 0x7F
    }

    /// The exchange that a request code begins.
    pub fn from_request_code(code: u8) -> Option<Exchange> {
        Self::every().find(|e| e.request_code() == code)
    }

    /// The name of the request.
    pub fn request_name(self) -> &'static str {
        match self {
            Exchange::Version => "GET_VERSION",
            Exchange::Capabilities => "GET_CAPABILITIES",
            Exchange::Algorithms => "NEGOTIATE_ALGORITHMS",
            Exchange::Digests => "GET_DIGESTS",
            Exchange::Certificate => "GET_CERTIFICATE",
            Exchange::Challenge => "CHALLENGE",
            Exchange::Measurements => "GET_MEASUREMENTS",
        }
    }

    /// The name of the response.
    pub fn response_name(self) -> &'static str {
        match self {
            Exchange::Version => "VERSION",
            Exchange::Capabilities => "CAPABILITIES",
            Exchange::Algorithms => "ALGORITHMS",
            Exchange::Digests => "DIGESTS",
            Exchange::Certificate => "CERTIFICATE",
            Exchange::Challenge => "CHALLENGE_AUTH",
            Exchange::Measurements => "MEASUREMENTS",
        }
    }

    /// Finds an exchange by the name of its request or response.
    ///
    /// # Errors
    ///
    /// The message for the user if there is none.
    pub fn from_name(name: &str) -> Result<Exchange, String> {
        Self::every()
            .find(|e| e.request_name() == name || e.response_name() == name)
            .ok_or_else(|| {
                let names: Vec<_> = Self::every().map(Self::response_name).collect();
                format!("no message `{name}`; there are: {}", names.join(" "))
            })
    }
}

/// The name of a message for the log, from its first bytes.
pub fn name(message: &[u8]) -> String {
    let Some(&code) = message.get(1) else {
        return "(short)".to_owned();
    };
    for exchange in Exchange::every() {
        if exchange.request_code() == code {
            return exchange.request_name().to_owned();
        }
        if exchange.response_code() == code {
            return exchange.response_name().to_owned();
        }
    }
    match code {
        RESPOND_IF_READY => "RESPOND_IF_READY".to_owned(),
        0x85 => "CHUNK_SEND".to_owned(),
        0x05 => "CHUNK_SEND_ACK".to_owned(),
        0x86 => "CHUNK_GET".to_owned(),
        0x06 => "CHUNK_RESPONSE".to_owned(),
        ERROR => match message.get(2) {
            Some(&code) => format!("ERROR {}", error_name(code)),
            None => "ERROR".to_owned(),
        },
        code => format!("0x{code:02x}"),
    }
}

/// Error codes of ERROR responses (DSP0274, "Error code and error data").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ErrorCode {
    /// A field of the request is wrong.
    InvalidRequest = 0x01,
    /// Ask again later.
    Busy = 0x03,
    /// The request is out of order.
    UnexpectedRequest = 0x04,
    /// No reason given.
    Unspecified = 0x05,
    /// The request code is not supported; the code is in the error data.
    UnsupportedRequest = 0x07,
    /// The response does not fit (1.2).
    ResponseTooLarge = 0x0D,
    /// The response comes in chunks (1.2).
    LargeResponse = 0x0F,
    /// The version in the header is not the negotiated one.
    VersionMismatch = 0x41,
    /// The response comes later, on RESPOND_IF_READY.
    ResponseNotReady = 0x42,
    /// Start again with GET_VERSION.
    RequestResynch = 0x43,
}

/// The standard's name of an error code, or its number.
pub fn error_name(code: u8) -> String {
    let name = match code {
        0x01 => "InvalidRequest",
        0x03 => "Busy",
        0x04 => "UnexpectedRequest",
        0x05 => "Unspecified",
        0x07 => "UnsupportedRequest",
        0x0D => "ResponseTooLarge",
        0x0F => "LargeResponse",
        0x41 => "VersionMismatch",
        0x42 => "ResponseNotReady",
        0x43 => "RequestResynch",
        _ => return format!("0x{code:02x}"),
    };
    name.to_owned()
}

/// The little-endian u16 at `offset`, if there is one.
pub fn u16_at(message: &[u8], offset: usize) -> Option<u16> {
    let bytes = message.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

/// The little-endian u32 at `offset`, if there is one.
pub fn u32_at(message: &[u8], offset: usize) -> Option<u32> {
    let bytes = message.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // PANIC: writing to a String does not fail.
        write!(text, "{byte:02x}").expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name(&[0x10, 0x84, 0, 0]), "GET_VERSION");
        assert_eq!(name(&[0x12, 0x03, 0, 0]), "CHALLENGE_AUTH");
        assert_eq!(name(&[0x12, 0x7F, 0x42, 0]), "ERROR ResponseNotReady");
        assert_eq!(name(&[0x12, 0x7F, 0x99, 0]), "ERROR 0x99");
        assert_eq!(name(&[0x12]), "(short)");
        for e in Exchange::ALL {
            assert_eq!(Exchange::from_name(e.request_name()), Ok(e));
            assert_eq!(Exchange::from_name(e.response_name()), Ok(e));
            assert_eq!(Exchange::from_request_code(e.request_code()), Some(e));
        }
        assert!(Exchange::from_name("FINISH").is_err());
    }

    #[test]
    fn fields_end_with_the_message() {
        assert_eq!(u16_at(&[1, 2, 3], 1), Some(0x0302));
        assert_eq!(u16_at(&[1, 2, 3], 2), None);
        assert_eq!(u32_at(&[1, 2, 3, 4], 0), Some(0x0403_0201));
        assert_eq!(u32_at(&[1, 2, 3, 4], usize::MAX), None);
    }
}
