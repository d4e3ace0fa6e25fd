//! The header lists of messages: order and bytes kept as they are, names compared without case.

/// Headers in the order they arrived or were added. A name may occur more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<(String, Vec<u8>)>,
}

impl Headers {
    /// The first value of `name` (any case) as text; `None` if there is none or it is not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The first value of `name` (any case) as it is.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether `name` (any case) occurs.
    pub fn contains(&self, name: &str) -> bool {
        self.get_bytes(name).is_some()
    }

    /// Adds a value, beside those the name may already have.
    pub fn append(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.fields.push((name.into(), value.into()));
    }

    /// Gives `name` this one value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        let name = name.into();
        self.remove(&name);
        self.append(name, value);
    }

    /// Takes away every value of `name` (any case).
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }

    /// Every name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }
}

impl<N: Into<String>, V: Into<Vec<u8>>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        Self { fields: fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_values_keep_their_bytes() {
        let mut headers = Headers::from_iter([("Accept", "a"), ("x-raw", "b"), ("accept", "c")]);
        assert_eq!(headers.get("ACCEPT"), Some("a"));
        headers.set("ACCEPT", "d");
        assert_eq!(headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("accept")).count(), 1);
        headers.set("x-raw", [0xff]);
        assert_eq!((headers.get("x-raw"), headers.get_bytes("x-raw")), (None, Some(&[0xff][..])));
        headers.remove("X-Raw");
        assert!(!headers.contains("x-raw"));
    }
}
