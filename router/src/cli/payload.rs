//! Data as it is given on a command line: `DATA`, `@FILE` or `-`, and what sort of data it is.
//!
//! Separate because `invoke` and `publish` take data the same way and guess its media type by the same rule.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::failure::{reason, wrong};

/// The most that is read into memory to be sent. An event is at most 1 MiB; larger requests are for real clients.
const BYTES: u64 = 64 << 20;

/// Reads what `-d` names.
pub(super) async fn read(argument: &str) -> anyhow::Result<Bytes> {
    match argument.strip_prefix('@') {
        Some(path) => read_file(path).await,
        None if argument == "-" => read_stdin().await,
        None => Ok(Bytes::copy_from_slice(argument.as_bytes())),
    }
}

/// Reads what `-f` names: a file, or `-` for standard input.
pub(super) async fn read_path(path: &str) -> anyhow::Result<Bytes> {
    if path == "-" { read_stdin().await } else { read_file(path).await }
}

async fn read_file(path: &str) -> anyhow::Result<Bytes> {
    match tokio::fs::File::open(path).await {
        Ok(file) => read_all(file, path).await,
        Err(error) => Err(wrong(format!("cannot read {path}: {}", reason(&error)))),
    }
}

/// Reads standard input to its end; Ctrl-C still ends the command meanwhile.
pub(super) async fn read_stdin() -> anyhow::Result<Bytes> {
    read_all(tokio::io::stdin(), "standard input").await
}

async fn read_all(from: impl AsyncRead + Unpin, name: &str) -> anyhow::Result<Bytes> {
    let mut bytes = Vec::new();
    let read = from.take(BYTES + 1).read_to_end(&mut bytes).await;
    let count = read.map_err(|error| wrong(format!("cannot read {name}: {}", reason(&error))))?;
    if count as u64 > BYTES {
        return Err(wrong(format!("{name} has more than {BYTES} bytes, which is more than weft sends")));
    }
    Ok(bytes.into())
}

/// The media type that data has when nobody says: JSON if it parses, text if it is UTF-8, else bytes.
pub(super) fn media_type(data: &[u8]) -> &'static str {
    if is_json(data) {
        "application/json"
    } else if std::str::from_utf8(data).is_ok() {
        "text/plain"
    } else {
        "application/octet-stream"
    }
}

/// Whether data is one JSON value.
pub(super) fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_tells_its_media_type() {
        let check = |data: &[u8], expect: &str| assert_eq!(media_type(data), expect);
        check(br#"{"amount": 12}"#, "application/json");
        check(b"12", "application/json");
        check(b"hello", "text/plain");
        check(b"", "text/plain");
        check(b"{", "text/plain");
        check(&[0xff, 0x00], "application/octet-stream");
    }

    #[tokio::test]
    async fn data_is_given_as_it_is_or_as_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from a file\n").unwrap();
        assert_eq!(read("as it is").await.unwrap(), "as it is");
        assert_eq!(read(&format!("@{}", file.path().display())).await.unwrap(), "from a file\n");
        let missing = read("@/no/such/file").await.unwrap_err();
        assert_eq!(crate::cli::failure::exit_code(&missing), 2, "{missing:#}");
    }
}
