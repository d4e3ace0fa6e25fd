//! What a handler fails with: the status its caller gets, and the message that only the log may learn.

use std::fmt;

/// Why a handler could not answer.
///
/// Any [`std::error::Error`] turns into one with `?` and answers `500`; its message goes to the function's log, never
/// to the caller. [`Error::status`] chooses the status; a message beside a `4xx` is meant for the caller and is sent.
///
/// For events the status decides what the trigger does next: `5xx`, `404`, `408`, `409` and `429` are retried, any
/// other
/// `4xx` goes to the dead log at once (the response table of Knative's data plane specification).
pub struct Error {
    status: u16,
    message: String,
}

impl Error {
    /// A bug or a failure of this function: `500`, retried when it was an event.
    pub fn new(message: impl fmt::Display) -> Self {
        Self::status(500, message)
    }

    /// An answer with this status. The caller reads the message if the status is a `4xx`; it is logged in any case.
    /// A number that is no error status (below 400 or above 599) becomes `500`.
    pub fn status(status: u16, message: impl fmt::Display) -> Self {
        let status = if (400..=599).contains(&status) { status } else { 500 };
        Self { status, message: message.to_string() }
    }

    /// Something this function needs is not there right now: `503`. An event is delivered again later.
    pub fn retry(message: impl fmt::Display) -> Self {
        Self::status(503, message)
    }

    /// The input will never be right: `422`. An event goes to the dead log without another attempt.
    pub fn reject(message: impl fmt::Display) -> Self {
        Self::status(422, message)
    }

    /// The status the caller gets.
    pub fn status_code(&self) -> u16 {
        self.status
    }

    /// What goes to the log.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same failure, saying first what was attempted: `"charging order 7: connection refused"`.
    pub fn context(self, attempted: impl fmt::Display) -> Self {
        Self { status: self.status, message: format!("{attempted}: {}", self.message) }
    }

    /// What the caller may read about it: only what is wrong with the caller's own input.
    pub(crate) fn public_message(&self) -> Option<&str> {
        (self.status < 500).then_some(self.message.as_str())
    }
}

/// `Error` itself is not a [`std::error::Error`], so that this conversion can exist for all who are.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            message.push_str(": ");
            message.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self::new(message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_callers_own_mistake_is_told_to_the_caller() {
        fn check(error: Error, status: u16, public: Option<&str>) {
            assert_eq!((error.status_code(), error.public_message()), (status, public), "{error:?}");
        }
        check(Error::new("the key is 7"), 500, None);
        check(Error::retry("the bank is closed"), 503, None);
        check(Error::reject("no amount"), 422, Some("no amount"));
        check(Error::status(404, "no order 7"), 404, Some("no order 7"));
        check(Error::status(200, "not an error"), 500, None);
        check(Error::from(std::io::Error::other("disk")), 500, None);
    }

    #[test]
    fn a_converted_error_keeps_its_causes() {
        #[derive(Debug)]
        struct Outer(std::fmt::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("writing the report")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = Error::from(Outer(fmt::Error)).context("order 7");
        assert_eq!(error.message(), format!("order 7: writing the report: {}", fmt::Error));
    }
}
