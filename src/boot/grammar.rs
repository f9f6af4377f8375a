//! What may stand in a template: loops, conditions, values, and little else. The language could
//! do more than files need, and some of it builds in few steps what takes the machine for ever to
//! walk through: lists joined to lists, lists of lists. That is refused before it is compiled.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::engine::Broken;

/// Words between one pair of braces. Bounds how deep an expression can nest.
const WORDS: usize = 200;

const STATEMENTS: [&str; 9] =
    ["if", "elif", "else", "endif", "for", "endfor", "set", "with", "endwith"];

/// Whether `source` is made of what is allowed.
pub(super) fn check(source: &str, syntax: &SyntaxConfig) -> Result<(), Broken> {
    let mut tag = Tag::default();
    for token in tokenize(source, false, syntax.clone()) {
        let (token, span) = token?;
        let refused = |what: &str| {
            Err(Broken { line: Some(usize::from(span.start_line)), what: what.to_owned() })
        };
        match token {
            Token::TemplateData(_) => continue,
            Token::VariableStart | Token::BlockStart => {
                tag = Tag { statement: matches!(token, Token::BlockStart), ..Tag::default() };
                continue;
            }
            Token::BlockEnd if tag.sets && !tag.assigns => {
                return refused("write set with a value: {% set name = value %}");
            }
            Token::Plus | Token::Mul | Token::Pow | Token::Tilde => {
                return refused(
                    "leave out + * ** and ~: write values one after the other, and numbers with |plus(1) or |times(2)",
                );
            }
            Token::BraceOpen => return refused("leave out { } inside a tag"),
            Token::Comma if !tag.in_list => return refused("leave out the comma"),
            Token::Ident(word) if tag.words == 0 && tag.statement => {
                if !STATEMENTS.contains(&word) {
                    return refused(&format!(
                        "there is no {word} in boot files; use if, for, set and with"
                    ));
                }
                tag.sets = word == "set";
            }
            Token::Ident("recursive") => return refused("leave out recursive"),
            Token::Ident(word) if tag.in_list && !matches!(word, "true" | "false" | "none") => {
                return refused("a list can hold texts and numbers only");
            }
            Token::BracketOpen if tag.in_list => return refused("a list can hold no list"),
            Token::BracketOpen => tag.in_list = !tag.after_value,
            Token::BracketClose => tag.in_list = false,
            Token::Assign => tag.assigns = true,
            _ => {}
        }
        tag.after_value = matches!(token, Token::Ident(word) if word != "in")
            || matches!(
                token,
                Token::ParenClose | Token::BracketClose | Token::Str(_) | Token::String(_)
            );
        tag.words += 1;
        if tag.words > WORDS {
            return refused("this is too long; split it");
        }
    }
    Ok(())
}

/// What was seen of one pair of braces.
#[derive(Default)]
struct Tag {
    statement: bool,
    words: usize,
    sets: bool,
    assigns: bool,
    in_list: bool,
    after_value: bool,
}
