//! Conversion from and to the official SDK.
