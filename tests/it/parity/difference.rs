//! A place where the node does not do what the table says, and how a person reads of it.

use std::fmt;

/// Differences that are printed; of a broken policy there are thousands.
const SHOWN: usize = 20;

/// One difference.
#[derive(Debug)]
pub(super) struct Difference {
    /// The row: who, and to what; or what is counted of several rows.
    pub(super) row: String,
    /// The path, or where the number stands.
    pub(super) path: String,
    /// What is compared.
    pub(super) what: &'static str,
    pub(super) expected: String,
    pub(super) got: String,
}

impl Difference {
    /// The difference, if these two are not the same.
    pub(super) fn between<T: PartialEq + fmt::Debug>(
        (row, path): (&str, &str),
        what: &'static str,
        expected: &T,
        got: &T,
    ) -> Option<Self> {
        let text = |value: &T| format!("{value:?}");
        (expected != got).then(|| Self {
            row: row.to_owned(),
            path: path.to_owned(),
            what,
            expected: text(expected),
            got: text(got),
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, path, what, expected, got } = self;
        write!(f, "{row} | {path} | {what}\n    expected {expected}\n    got      {got}")
    }
}

/// All of them, as far as anybody wants to read.
pub(super) fn list(differences: &[Difference]) -> String {
    let shown: Vec<String> = differences.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = differences.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!("\nand {more} more") };
    format!("{} differences (row | path | what)\n{}{more}", differences.len(), shown.join("\n"))
}

#[test]
fn a_difference_says_row_path_expected_and_got() {
    assert!(Difference::between(("a", "b"), "verdict", &1, &1).is_none());
    let one = || Difference::between(("alpha/one -> closed/bare", "Publish"), "verdict", &"deny", &"allow").unwrap();
    let expect = "1 differences (row | path | what)\nalpha/one -> closed/bare | Publish | verdict\n    expected \"deny\"\n    \
                  got      \"allow\"";
    assert_eq!(list(&[one()]), expect);
    let many: Vec<Difference> = (0..SHOWN + 3).map(|_| one()).collect();
    assert!(list(&many).ends_with("and 3 more"));
}
