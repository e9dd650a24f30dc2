//! Reads tokens as an expression, by recursive descent.

use super::token::Token;

/// A node of an expression.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Number(f64),
    Bool(bool),
    Null,
    Variable(String),
    List(Vec<Node>),
    Field(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negative(Box<Node>),
    Binary(&'static str, Box<Node>, Box<Node>),
    Choice(Box<Node>, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
}

/// A function. Methods have the value that they are called on as their first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    StartsWith,
    EndsWith,
    Contains,
    Extract,
    LowerAscii,
    Timestamp,
    Duration,
    Has,
}

/// How deep an expression may be nested: more than anyone writes, and little enough for any stack.
const MAX_DEPTH: usize = 64;
/// Operators from the loosest to the tightest.
const LEVELS: [&[&str]; 4] = [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">", "in"], &["+", "-"]];

pub(super) fn parse(tokens: &[Token], variables: &[&str]) -> Result<Node, String> {
    let mut parser = Parser { tokens, variables, depth: 0 };
    let node = parser.expression()?;
    match parser.tokens {
        [] => Ok(node),
        [next, ..] => Err(format!("{next:?} is not expected")),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    variables: &'a [&'a str],
    depth: usize,
}

impl Parser<'_> {
    fn expression(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deep".to_owned());
        }
        let condition = self.binary(0)?;
        let node = if self.take("?") {
            let yes = self.expression()?;
            self.expect(":")?;
            Node::Choice(Box::new(condition), Box::new(yes), Box::new(self.expression()?))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(node)
    }

    fn binary(&mut self, level: usize) -> Result<Node, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.take(operator)) {
            left = Node::Binary(operator, Box::new(left), Box::new(self.binary(level + 1)?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, String> {
        if self.take("!") {
            return self.nested(Self::unary).map(|node| Node::Not(Box::new(node)));
        }
        if self.take("-") {
            return self.nested(Self::unary).map(|node| Node::Negative(Box::new(node)));
        }
        self.postfix()
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Node, String>) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deep".to_owned());
        }
        let node = read(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn postfix(&mut self) -> Result<Node, String> {
        let mut node = self.primary()?;
        loop {
            if self.take(".") {
                let name = self.name()?;
                node = if self.take("(") {
                    let function = method(&name).ok_or_else(|| format!("{name}() is not supported"))?;
                    let mut arguments = vec![node];
                    arguments.extend(self.list(")")?);
                    call(function, arguments)?
                } else {
                    Node::Field(Box::new(node), name)
                };
            } else if self.take("[") {
                let index = self.expression()?;
                self.expect("]")?;
                node = Node::Index(Box::new(node), Box::new(index));
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Result<Node, String> {
        let (first, rest) = self.tokens.split_first().ok_or("it ends too early")?;
        self.tokens = rest;
        match first {
            Token::Text(text) => Ok(Node::Text(text.clone())),
            Token::Number(number) => Ok(Node::Number(*number)),
            Token::Symbol("(") => {
                let node = self.expression()?;
                self.expect(")").map(|()| node)
            }
            Token::Symbol("[") => self.list("]").map(Node::List),
            Token::Symbol(symbol) => Err(format!("{symbol:?} is not expected")),
            Token::Name(name) => self.named(name),
        }
    }

    fn named(&mut self, name: &str) -> Result<Node, String> {
        match name {
            "true" => Ok(Node::Bool(true)),
            "false" => Ok(Node::Bool(false)),
            "null" => Ok(Node::Null),
            _ if self.take("(") => {
                let function = function(name).ok_or_else(|| format!("{name}() is not supported"))?;
                let arguments = self.list(")")?;
                call(function, arguments)
            }
            _ if self.variables.contains(&name) => Ok(Node::Variable(name.to_owned())),
            _ => Err(format!("{name} is not known")),
        }
    }

    fn list(&mut self, end: &str) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        while !self.take(end) {
            if !nodes.is_empty() {
                self.expect(",")?;
            }
            nodes.push(self.expression()?);
        }
        Ok(nodes)
    }

    fn name(&mut self) -> Result<String, String> {
        match self.tokens.split_first() {
            Some((Token::Name(name), rest)) => {
                self.tokens = rest;
                Ok(name.clone())
            }
            _ => Err("a name is missing after a dot".to_owned()),
        }
    }

    fn take(&mut self, symbol: &str) -> bool {
        match self.tokens.split_first() {
            Some((Token::Symbol(found), rest)) if *found == symbol => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.take(symbol) { Ok(()) } else { Err(format!("{symbol:?} is missing")) }
    }
}

fn method(name: &str) -> Option<Function> {
    Some(match name {
        "startsWith" => Function::StartsWith,
        "endsWith" => Function::EndsWith,
        "contains" => Function::Contains,
        "extract" => Function::Extract,
        "lowerAscii" => Function::LowerAscii,
        _ => return None,
    })
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "timestamp" => Function::Timestamp,
        "duration" => Function::Duration,
        "has" => Function::Has,
        _ => return None,
    })
}

fn call(function: Function, arguments: Vec<Node>) -> Result<Node, String> {
    let wanted = match function {
        Function::StartsWith | Function::EndsWith | Function::Contains | Function::Extract => 2,
        Function::LowerAscii | Function::Timestamp | Function::Duration | Function::Has => 1,
    };
    if arguments.len() == wanted {
        Ok(Node::Call(function, arguments))
    } else {
        Err(format!("{function:?} has another number of arguments"))
    }
}
