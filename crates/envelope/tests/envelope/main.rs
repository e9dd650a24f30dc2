//! What the format promises, held against published vectors and against everything that proptest can think of.
#![expect(clippy::unwrap_used, reason = "the functions that tests share are test code too")]

mod context;
mod hostile;
mod properties;
mod strategies;
mod text;
mod vectors;
