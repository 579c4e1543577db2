// SPDX-License-Identifier: GPL-2.0

//! What a transport binding offers to the requester.

/// Carries SPDM messages to one responder.
pub trait Transport {
    /// Largest SPDM message in bytes that the binding carries, either way.
    fn max_message_size(&self) -> usize;

    /// Unit in bytes to which the binding pads messages: 4 for DOE, 1 for MCTP.
    ///
    /// Up to `alignment() - 1` zero bytes may follow a response. They are not part of the message.
    fn alignment(&self) -> usize;

    /// Worst-case round trip time of the binding in microseconds ("RTT" in DSP0274, "Timing requirements").
    fn round_trip_us(&self) -> u32;

    /// How often a request is sent again if no response came in time, because either may have been lost. A response to
    /// an earlier one that comes late must not pass for that to the last one.
    fn retries(&self) -> usize {
        0
    }

    /// Sends `request` and receives its response into `response`, which begins a multiple of
    /// [`Transport::alignment`] after the beginning of [`Requester::buffer`](crate::Requester::buffer).
    ///
    /// Returns the length of what was received in bytes, at most `response.len()`. Gives up `timeout_us`
    /// microseconds after the call, or at the binding's own time limit if that is shorter.
    fn exchange(
        &mut self,
        request: &[u8],
        response: &mut [u8],
        timeout_us: u32,
    ) -> Result<usize, TransportError>;
}

/// Why a transport could not complete an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// No response in time.
    Timeout,
    /// The response does not fit the buffer.
    TooLarge,
    /// The device is no longer there.
    Gone,
    /// The attestation was cancelled.
    Interrupted,
    /// The response has a message integrity check, which the binding forbids (DSP0275).
    IntegrityCheck,
    /// Any other failure of the link or of the mailbox.
    Io,
}
