//! Bytes as they are, for requests that no client would send, and for seeing how an answer ends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the peer may take to answer and close.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back on a connection.
#[derive(Debug)]
pub struct Bytes(pub Vec<u8>);

/// Sends bytes and reads until the peer closes.
pub async fn exchange(to: SocketAddr, bytes: &[u8]) -> Bytes {
    let mut stream = TcpStream::connect(to).await.expect("a connection");
    // A peer that refuses early may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut came = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut came)).await;
    let read = read.unwrap_or_else(|_| {
        panic!("the connection stays open after\n{}", String::from_utf8_lossy(bytes).escape_debug())
    });
    // A reset after the answer takes nothing of it back.
    let _ = read;
    Bytes(came)
}

impl Bytes {
    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// How many answers there are.
    pub fn answers(&self) -> usize {
        self.text().matches("HTTP/1.1 ").count()
    }

    /// The status of the first answer.
    pub fn status(&self) -> Option<u16> {
        self.text().strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    /// A header of the first answer.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (head, _) = text.split_once("\r\n\r\n")?;
        let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    /// What follows the first head.
    pub fn body(&self) -> String {
        self.text().split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}
