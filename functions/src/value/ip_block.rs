//! An address, or a range of addresses (CIDR, RFC 4632), as policies and `allowHosts` name them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::ValueError;

/// The addresses that share their first `prefix` bits: `10.0.0.0/8`, `fd00::/8`; or one: `10.0.0.7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpBlock {
    /// Its bits beyond `prefix` are zero; never an IPv4 address in IPv6 form.
    address: IpAddr,
    /// At most 32, or 128 for IPv6.
    prefix: u8,
}

impl IpBlock {
    /// The block of one address.
    pub fn single(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: bits(address) }
    }

    /// The address, if the block holds one only.
    pub fn address(&self) -> Option<IpAddr> {
        (self.prefix == bits(self.address)).then_some(self.address)
    }

    /// Whether all addresses of the other block lie in this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// Whether the address lies in the block. An IPv4 address in IPv6 form (`::ffff:10.0.0.1`) is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.address.is_ipv4() == address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

impl FromStr for IpBlock {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            let text = text.escape_debug();
            ValueError::new(format!("`{text}` is not an address or a range such as 10.0.0.7, 10.0.0.0/8 or fd00::/8"))
        };
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse().map(Self::single).map_err(|_| wrong());
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        // A range with bits set beyond its prefix is more likely a slip than a wish.
        let whole = prefix <= bits(address) && masked(address, prefix) == address && address.to_canonical() == address;
        whole.then_some(Self { address, prefix }).ok_or_else(wrong)
    }
}

impl fmt::Display for IpBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => write!(f, "{address}"),
            None => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::from((v4.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::from((v6.to_bits() & mask).to_be_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let check = |text: &str, expect: Option<&str>| {
            let read = text.parse::<IpBlock>().ok().map(|block| block.to_string());
            assert_eq!(read.as_deref(), expect, "{text}");
        };
        for text in ["10.0.0.7", "10.0.0.0/8", "0.0.0.0/0", "fd00::1", "fd00::/8", "::/0"] {
            check(text, Some(text));
        }
        check("10.0.0.7/32", Some("10.0.0.7"));
        check("::ffff:10.0.0.7", Some("10.0.0.7"));
        for text in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0", "a/8", "fd00::/129", "::ffff:10.0.0.0/104"]
        {
            check(text, None);
        }
    }

    #[test]
    fn members() {
        let check = |block: &str, address: &str, expect: bool| {
            let read: IpBlock = block.parse().unwrap();
            assert_eq!(read.contains(address.parse().unwrap()), expect, "{block} {address}");
        };
        check("10.0.0.0/8", "10.9.8.7", true);
        check("10.0.0.0/8", "::ffff:10.9.8.7", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("0.0.0.0/0", "::1", false);
        check("fd00::/8", "fd12::1", true);
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
    }

    #[test]
    fn blocks_within_blocks() {
        let check = |outer: &str, inner: &str, expect: bool| {
            let read = |text: &str| text.parse::<IpBlock>().unwrap();
            assert_eq!(read(outer).covers(&read(inner)), expect, "{outer} {inner}");
        };
        check("10.0.0.0/8", "10.1.0.0/16", true);
        check("10.0.0.0/8", "10.0.0.0/8", true);
        check("10.1.0.0/16", "10.0.0.0/8", false);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("0.0.0.0/0", "fd00::1", false);
        check("::/0", "10.0.0.1", false);
    }
}
