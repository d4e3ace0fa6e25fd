//! Where a manifest says `module:`, so that a mistake in a module is reported at the line that names it. The checked
//! function no longer knows that line; this looks for it in the text.

use weft_functions::function::Function;
use weft_functions::manifest::{Code, Location, Problem, SourceFile};

/// The key's place in a manifest.
const PATH: &str = "spec.module";

/// A problem with the function's module, at the line that names it when `files` has its text.
pub(super) fn problem(function: &Function, files: &[SourceFile], message: impl Into<String>) -> Problem {
    let source = files.iter().find(|file| file.name == function.location.file);
    let location = source.map_or_else(|| function.location.clone(), |source| locate(function, source));
    let problem = Problem::new(location, PATH, Code::BadValue, message);
    match source {
        Some(source) => problem.with_source(source),
        None => problem,
    }
}

/// The place of the module's value within the function's document; the document's own when it cannot be found.
fn locate(function: &Function, source: &SourceFile) -> Location {
    let first = usize::try_from(function.location.line).unwrap_or(1).max(1);
    let lines = source.text.lines().enumerate().skip(first - 1);
    for (index, line) in lines.take_while(|(index, line)| *index < first || !line.starts_with("---")) {
        if let Some(column) = value_of_module(line, &function.spec.module)
            && let (Ok(line), Ok(column)) = (u32::try_from(index + 1), u32::try_from(column))
        {
            return Location { file: source.name.clone(), line, column };
        }
    }
    function.location.clone()
}

/// The column, from 1 and in characters, of `module` where it is the value of a key `module:`, quoted or not.
fn value_of_module(line: &str, module: &str) -> Option<usize> {
    let quoted = |c: char| c == '"' || c == '\'' || c.is_whitespace();
    let is_value = |at: &usize| {
        let key = line[..*at].trim_end_matches(quoted).strip_suffix(':');
        key.is_some_and(|key| {
            let before = key.trim_end_matches(quoted).strip_suffix("module");
            before.is_some_and(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-'))
        })
    };
    let at = line.match_indices(module).map(|(at, _)| at).find(is_value)?;
    Some(line[..at].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_the_key_module_is_found() {
        let check = |line: &str, expect: Option<usize>| assert_eq!(value_of_module(line, "./a.wasm"), expect, "{line}");
        check("  module: ./a.wasm", Some(11));
        check("  module:   './a.wasm' # ./a.wasm", Some(14));
        check("spec: { module: ./a.wasm }", Some(17));
        check(r#"{"spec":{"module":"./a.wasm"}}"#, Some(20));
        check(r#"{"é":1,"module":"./a.wasm"}"#, Some(18));
        check("  image: ./a.wasm", None);
        check("  submodule: ./a.wasm", None);
        check("  # see ./a.wasm", None);
    }

    #[test]
    fn the_right_document_of_a_file_is_meant() {
        let document = |name: &str| {
            format!(
                "apiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: {{ name: {name} }}\nspec:\n  module: ./a.wasm\n"
            )
        };
        let file = SourceFile::new("app.yaml", format!("---\n{}---\n{}", document("one"), document("two")));
        let parsed = weft_functions::manifest::parse(std::slice::from_ref(&file)).expect("valid");
        let lines = parsed.iter().filter_map(|resource| match resource {
            weft_functions::Resource::Function(function) => {
                Some(problem(function, std::slice::from_ref(&file), "bad").location.to_string())
            }
            _ => None,
        });
        assert_eq!(lines.collect::<Vec<_>>(), ["app.yaml:6", "app.yaml:12"]);
    }
}
