//! Paths of the route table as the router matches them.
//!
//! It makes a regular expression of each path, once for each thread. A part of a path is any
//! character there unless the path says otherwise, and an expression over all of Unicode takes some
//! ten times the memory of one over ASCII: with hundreds of paths that was a third of what the
//! program held. Nearly all parts are identifiers, addresses and words of ours.

/// Of what such a part consists: what can be printed, but no slash.
const ASCII: &str = ":[ -.0-~]+";
/// Parts that hold what others made up, or must be recognised whatever was typed beside them.
const ANYTHING: [&str; 2] = ["subscriber_id", "token"];

/// A path of the table for the router.
pub fn for_router(path: &str) -> String {
    let (mut pattern, mut rest) = (String::new(), path);
    while let Some((before, after)) = rest.split_once('}') {
        let name = before.rsplit('{').next().unwrap_or_default();
        let is_open = name.contains(':') || ANYTHING.contains(&name);
        pattern.push_str(before);
        pattern.push_str(if is_open { "" } else { ASCII });
        pattern.push('}');
        rest = after;
    }
    pattern + rest
}

/// What [`for_router`] made, as the table has it.
pub fn in_table(pattern: &str) -> String {
    pattern.replace(ASCII, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_narrowed_and_shown_as_they_are_written() {
        for (path, pattern) in [
            ("/users", "/users"),
            ("/users/{id}/edit", "/users/{id:[ -.0-~]+}/edit"),
            ("/a/{kind}/{id}", "/a/{kind:[ -.0-~]+}/{id:[ -.0-~]+}"),
            ("/provision/{token:.*}", "/provision/{token:.*}"),
            ("/welcome/{token}", "/welcome/{token}"),
        ] {
            assert_eq!(for_router(path), pattern);
            assert_eq!(in_table(pattern), path);
        }
    }
}
