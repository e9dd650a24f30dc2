//! Strings with wildcards and policy variables.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>

use super::context::ConditionContext;
use super::error::PolicyError;

/// A string of a policy, parsed but with its variables still open.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Token(Token),
    Variable { key: String, default: Option<String> },
}

/// One step of a glob.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token {
    /// This character.
    Literal(char),
    /// `*`: any run of characters, the empty one too.
    Any,
    /// `?`: any one character.
    One,
}

/// Which characters of a string are special.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wildcards {
    /// `*` and `?` match.
    On,
    /// `*` and `?` are themselves.
    Off,
}

/// Whether `${…}` is a variable: only since version 2012-10-17.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Variables {
    /// They are resolved.
    On,
    /// They are ordinary text.
    Off,
}

impl Template {
    /// Reads a string; `at` names its place for errors.
    pub(super) fn parse(
        text: &str,
        wildcards: Wildcards,
        variables: Variables,
        at: &str,
    ) -> Result<Self, PolicyError> {
        let mut parts = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if variables == Variables::On && rest.starts_with("${") {
                let (body, after) = rest[2..].split_once('}').ok_or_else(|| {
                    PolicyError::invalid(at, text, "a string with complete policy variables")
                })?;
                parts
                    .push(variable(body).ok_or_else(|| PolicyError::invalid(at, text, "a policy variable"))?);
                rest = after;
            } else {
                parts.push(Part::Token(token(next, wildcards)));
                rest = &rest[next.len_utf8()..];
            }
        }
        Ok(Self { parts })
    }

    /// The glob of a string that was read without variables.
    pub(super) fn fixed(&self) -> Vec<Token> {
        self.resolve(&ConditionContext::new()).unwrap_or_default()
    }

    /// Fills in the variables; nothing if one of them has no single value and no default.
    ///
    /// What a variable stands for is literal: a `*` in a tag's value is no wildcard.
    pub(super) fn resolve(&self, context: &ConditionContext) -> Option<Vec<Token>> {
        let mut tokens = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match part {
                Part::Token(token) => tokens.push(*token),
                Part::Variable { key, default } => {
                    let value = context.single(key).or(default.as_deref())?;
                    tokens.extend(value.chars().map(Token::Literal));
                }
            }
        }
        Some(tokens)
    }
}

fn token(character: char, wildcards: Wildcards) -> Token {
    match (character, wildcards) {
        ('*', Wildcards::On) => Token::Any,
        ('?', Wildcards::On) => Token::One,
        _ => Token::Literal(character),
    }
}

/// `${*}`, `${?}` and `${$}` are escapes; anything else is `key` or `key, 'default'`.
fn variable(body: &str) -> Option<Part> {
    if let "*" | "?" | "$" = body {
        return body.chars().next().map(|character| Part::Token(Token::Literal(character)));
    }
    let (key, default) = match body.split_once(',') {
        None => (body.trim(), None),
        Some((key, quoted)) => {
            let value = quoted.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key.trim(), Some(value.to_owned()))
        }
    };
    let well_formed = key.contains(':') && !key.contains(['$', '{', '*', '?']);
    well_formed.then(|| Part::Variable { key: key.to_owned(), default })
}

/// Whether the whole of `text` matches, in O(pattern × text) at worst.
pub(super) fn glob(pattern: &[Token], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Any) => {
                star = Some((p, t));
                p += 1;
            }
            Some(token) if *token == Token::One || *token == Token::Literal(text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                // Let the latest `*` swallow one character more, and try again from there.
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern[p..].iter().all(|token| *token == Token::Any)
}

/// Whether `text` matches an ARN pattern: each of the six parts for itself, parts left out at the end matching anything.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>
pub(super) fn glob_arn(pattern: &[Token], text: &str) -> bool {
    if pattern == [Token::Any] {
        return true;
    }
    let mut patterns = pattern.splitn(ARN_PARTS, |token| *token == Token::Literal(':'));
    let mut texts = text.splitn(ARN_PARTS, ':');
    loop {
        match (patterns.next(), texts.next()) {
            (Some(pattern), Some(text)) if glob(pattern, text) => {}
            (None, Some(_)) | (None, None) => return true,
            _ => return false,
        }
    }
}

/// `arn:partition:service:region:account:resource`; colons after the fifth belong to the resource.
const ARN_PARTS: usize = 6;

/// Whether `text` can be read as an ARN pattern, or is the lone `*`.
pub(super) fn is_arn_pattern(text: &str) -> bool {
    text == "*" || text.starts_with("arn:") || text.starts_with("${")
}
