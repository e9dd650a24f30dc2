//! Splits an expression into tokens.

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(f64),
    Symbol(&'static str),
}

/// Longer ones first, so that `==` is not taken for two signs.
const SYMBOLS: [&str; 19] =
    ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "+", "-", "?", ":"];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' => quoted(rest, first)?,
            '0'..='9' => number(rest)?,
            _ if first.is_ascii_alphabetic() || first == '_' => name(rest),
            _ => symbol(rest).ok_or_else(|| format!("{first:?} is not understood"))?,
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn quoted(text: &str, quote: char) -> Result<(Token, usize), String> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((Token::Text(value), index + 1)),
            '\\' => match characters.next() {
                Some((_, escaped @ ('\\' | '"' | '\''))) => value.push(escaped),
                _ => return Err("an escape is not understood".to_owned()),
            },
            _ => value.push(character),
        }
    }
    Err("a text does not end".to_owned())
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let length = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let value = text[..length].parse().map_err(|_| "a number is malformed".to_owned())?;
    Ok((Token::Number(value), length))
}

fn name(text: &str) -> (Token, usize) {
    let length = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let token = match &text[..length] {
        "in" => Token::Symbol("in"),
        name => Token::Name(name.to_owned()),
    };
    (token, length)
}

fn symbol(text: &str) -> Option<(Token, usize)> {
    let found = SYMBOLS.into_iter().find(|symbol| text.starts_with(symbol))?;
    Some((Token::Symbol(found), found.len()))
}
