//! Evaluates an expression. What has no value (a missing field, a comparison of unlike types) makes the whole fail, but
//! for `&&` and `||`, which the other side may decide.

use std::cmp::Ordering;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::parse::{Function, Node};
use super::{Value, Variables};
use crate::clock::Timestamp;

pub(super) fn eval(node: &Node, variables: &Variables) -> Option<Value> {
    Some(match node {
        Node::Text(text) => Value::Text(text.clone()),
        Node::Number(number) => Value::Number(*number),
        Node::Bool(value) => Value::Bool(*value),
        Node::Null => Value::Null,
        Node::Variable(name) => variables.get(name)?.clone(),
        Node::List(items) => {
            Value::List(items.iter().map(|item| eval(item, variables)).collect::<Option<_>>()?)
        }
        Node::Field(of, name) => field(eval(of, variables)?, name)?,
        Node::Index(of, index) => match (eval(of, variables)?, eval(index, variables)?) {
            (map @ Value::Map(_), Value::Text(name)) => field(map, &name)?,
            (Value::List(items), Value::Number(index)) if index >= 0.0 => {
                items.into_iter().nth(index as usize)?
            }
            _ => return None,
        },
        Node::Not(of) => Value::Bool(!truth(of, variables)?),
        Node::Negative(of) => match eval(of, variables)? {
            Value::Number(number) => Value::Number(-number),
            _ => return None,
        },
        Node::Binary(operator, left, right) => binary(operator, left, right, variables)?,
        Node::Choice(condition, yes, no) => {
            eval(if truth(condition, variables)? { yes } else { no }, variables)?
        }
        Node::Call(Function::Has, arguments) => Value::Bool(eval(arguments.first()?, variables).is_some()),
        Node::Call(function, arguments) => {
            let values: Option<Vec<_>> = arguments.iter().map(|argument| eval(argument, variables)).collect();
            call(*function, &values?)?
        }
    })
}

fn truth(node: &Node, variables: &Variables) -> Option<bool> {
    match eval(node, variables)? {
        Value::Bool(value) => Some(value),
        _ => None,
    }
}

fn field(of: Value, name: &str) -> Option<Value> {
    match of {
        Value::Map(mut fields) => fields.remove(name),
        _ => None,
    }
}

fn binary(operator: &str, left: &Node, right: &Node, variables: &Variables) -> Option<Value> {
    if let "&&" | "||" = operator {
        let decided = operator == "||";
        let sides = [truth(left, variables), truth(right, variables)];
        if sides.contains(&Some(decided)) {
            return Some(Value::Bool(decided));
        }
        return sides[0].and(sides[1]).map(Value::Bool);
    }
    let (left, right) = (eval(left, variables)?, eval(right, variables)?);
    Some(match operator {
        "==" => Value::Bool(left == right),
        "!=" => Value::Bool(left != right),
        "in" => match right {
            Value::List(items) => Value::Bool(items.contains(&left)),
            Value::Map(fields) => match left {
                Value::Text(name) => Value::Bool(fields.contains_key(&name)),
                _ => return None,
            },
            _ => return None,
        },
        "+" => match (left, right) {
            (Value::Text(left), Value::Text(right)) => Value::Text(left + &right),
            (Value::Number(left), Value::Number(right)) => Value::Number(left + right),
            (Value::Time(time), Value::Number(seconds)) if seconds >= 0.0 => {
                Value::Time(time.plus(Duration::try_from_secs_f64(seconds).ok()?))
            }
            _ => return None,
        },
        "-" => match (left, right) {
            (Value::Number(left), Value::Number(right)) => Value::Number(left - right),
            _ => return None,
        },
        _ => {
            let order = compare(&left, &right)?;
            Value::Bool(match operator {
                "<" => order == Ordering::Less,
                "<=" => order != Ordering::Greater,
                ">" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
    })
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Time(left), Value::Time(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn call(function: Function, arguments: &[Value]) -> Option<Value> {
    match (function, arguments) {
        (Function::StartsWith, [Value::Text(of), Value::Text(with)]) => {
            Some(Value::Bool(of.starts_with(with)))
        }
        (Function::EndsWith, [Value::Text(of), Value::Text(with)]) => Some(Value::Bool(of.ends_with(with))),
        (Function::Contains, [Value::Text(of), Value::Text(part)]) => Some(Value::Bool(of.contains(part))),
        (Function::Extract, [Value::Text(of), Value::Text(template)]) => {
            Some(Value::Text(extract(of, template)?))
        }
        (Function::LowerAscii, [Value::Text(of)]) => Some(Value::Text(of.to_ascii_lowercase())),
        (Function::Timestamp, [Value::Text(text)]) => timestamp(text).map(Value::Time),
        (Function::Duration, [Value::Text(text)]) => text.strip_suffix('s')?.parse().ok().map(Value::Number),
        _ => None,
    }
}

/// What the braces of `prefix{name}suffix` stand for; nothing extracted is an empty text.
fn extract(of: &str, template: &str) -> Option<String> {
    let (prefix, rest) = template.split_once('{')?;
    let (_, suffix) = rest.split_once('}')?;
    let Some(start) = of.find(prefix) else { return Some(String::new()) };
    let rest = &of[start + prefix.len()..];
    if suffix.is_empty() {
        return Some(rest.to_owned());
    }
    Some(rest.find(suffix).map(|end| rest[..end].to_owned()).unwrap_or_default())
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp::from_unix_millis)
}
