//! As much of Google's Logging query language and of Microsoft's Kusto as the templates are written in.
//!
//! <https://cloud.google.com/logging/docs/view/logging-query-language>,
//! <https://learn.microsoft.com/kusto/query/scalar-data-types>. What is not known here panics rather than matches.

use serde_json::Value;

/// Whether a log entry matches a filter.
pub(super) fn logging(filter: &str, entry: &Value) -> bool {
    let mut reading = Reading { language: Language::Logging, tokens: tokens(filter), at: 0, row: entry };
    let matches = reading.any();
    assert_eq!(reading.at, reading.tokens.len(), "all of {filter} is read");
    matches
}

/// Whether a row of this table is in the answer to a union of tables with conditions.
pub(super) fn kusto(query: &str, table: &str, row: &Value) -> bool {
    let mut reading = Reading { language: Language::Kusto, tokens: tokens(query), at: 0, row };
    for word in ["union", "isfuzzy", "=", "true"] {
        reading.expect(word);
    }
    let mut found = false;
    loop {
        reading.expect("(");
        let mut matches = reading.next() == table;
        while reading.takes("|") {
            reading.expect("where");
            matches &= reading.any();
        }
        reading.expect(")");
        found |= matches;
        if !reading.takes(",") {
            break;
        }
    }
    assert_eq!(reading.at, reading.tokens.len(), "all of {query} is read");
    found
}

#[derive(Clone, Copy, PartialEq)]
enum Language {
    Logging,
    Kusto,
}

struct Reading<'a> {
    language: Language,
    tokens: Vec<&'a str>,
    at: usize,
    row: &'a Value,
}

impl<'a> Reading<'a> {
    fn any(&mut self) -> bool {
        let mut matches = self.all();
        while self.takes("or") {
            matches |= self.all();
        }
        matches
    }

    fn all(&mut self) -> bool {
        let mut matches = self.one();
        while self.takes("and") {
            matches &= self.one();
        }
        matches
    }

    fn one(&mut self) -> bool {
        if self.takes("(") {
            let matches = self.any();
            self.expect(")");
            return matches;
        }
        let field = self.next();
        if field == "log_id" {
            let [id] = self.list()[..] else { panic!("one log") };
            return self.value("logName").ends_with(&format!("/logs/{}", id.replace('/', "%2F")));
        }
        let (value, operator) = (self.value(field), self.next());
        if operator == "in" {
            return self.list().contains(&&*value);
        }
        let wanted = text(self.next());
        let [folded, wanted_folded] = [&*value, wanted].map(str::to_ascii_lowercase);
        match (self.language, operator) {
            (Language::Logging, "=") => folded == wanted_folded,
            (Language::Logging, ":") => folded.contains(&wanted_folded),
            (Language::Logging, "=~") => ends(&value, wanted),
            (Language::Kusto, "==") => value == wanted,
            (Language::Kusto, "=~") => folded == wanted_folded,
            (Language::Kusto, "contains" | "has") => folded.contains(&wanted_folded),
            (Language::Kusto, "startswith") => folded.starts_with(&wanted_folded),
            _ => panic!("unknown operator {operator}"),
        }
    }

    /// Strings in parentheses.
    fn list(&mut self) -> Vec<&'a str> {
        self.expect("(");
        let mut strings = vec![text(self.next())];
        while self.takes(",") {
            strings.push(text(self.next()));
        }
        self.expect(")");
        strings
    }

    /// A field's value; nothing where there is no such field.
    fn value(&self, field: &str) -> String {
        let found = self.row.pointer(&format!("/{}", field.replace('.', "/")));
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn next(&mut self) -> &'a str {
        self.at += 1;
        self.tokens[self.at - 1]
    }

    fn takes(&mut self, token: &str) -> bool {
        let taken = self.tokens.get(self.at).is_some_and(|found| found.eq_ignore_ascii_case(token));
        self.at += usize::from(taken);
        taken
    }

    fn expect(&mut self, token: &str) {
        assert!(self.takes(token), "{token} at {:?}", &self.tokens[self.at..]);
    }
}

/// Matches the one form of regular expression that is written there: `(this|that)$`.
fn ends(value: &str, pattern: &str) -> bool {
    let inner = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(")$"));
    inner.unwrap_or_else(|| panic!("not read: {pattern}")).split('|').any(|end| value.ends_with(end))
}

/// What is between the quotes.
fn text(token: &str) -> &str {
    token
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or_else(|| panic!("no string: {token}"))
}

/// Strings with their quotes, words, operators and single signs.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end_of = |of: fn(char) -> bool| rest.find(|letter: char| !of(letter)).unwrap_or(rest.len());
        let length = match first {
            '"' => rest[1..].find('"').unwrap() + 2,
            '=' | '~' => end_of(|letter| matches!(letter, '=' | '~')),
            _ if is_word(first) => end_of(is_word),
            _ => 1,
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.')
}
