//! Lines for the function's log: stderr, which the node writes into its own log with the function's name.

/// Writes a line to the function's log, with the arguments of [`format!`].
///
/// ```
/// weft_sdk::log!("charged {} EUR", 12);
/// ```
///
/// Works on every wasm target, unlike `eprintln!`. The node limits how much it keeps per second.
#[macro_export]
macro_rules! log {
    ($($argument:tt)+) => {
        $crate::__hidden::write_line(::std::format_args!($($argument)+))
    };
}

pub(crate) fn write_line(line: std::fmt::Arguments<'_>) {
    crate::host::write_log(&format!("{line}\n"));
}
