//! An expression as it was written.

use super::error::Span;

/// An expression, and where it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    /// What it is.
    pub node: Node,
    /// Its bytes in the text.
    pub span: Span,
}

/// What an expression is. Types are not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A field, a word of the market, `type`, `side`, `sequence_fresh`.
    Name(String),
    /// Digits, with or without a point.
    Number(String),
    /// Text in quotation marks, without them.
    Text(String),
    /// So many ticks.
    Ticks(String),
    /// The negative of a number.
    Negative(Box<Expr>),
    /// Arithmetic.
    Arith(Arith, Box<Expr>, Box<Expr>),
    /// A comparison.
    Compare(Relation, Box<Expr>, Box<Expr>),
    /// Whether it is one of a list.
    In(Box<Expr>, Vec<Expr>),
    /// `crosses_above(word, number)`, `crosses_below(word, number)`.
    Crosses(Direction, Box<Expr>, Box<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// All hold.
    And(Vec<Expr>),
    /// One of them holds.
    Or(Vec<Expr>),
}

/// What is made of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arith {
    /// Their sum.
    Add,
    /// Their difference.
    Subtract,
    /// Their product.
    Multiply,
    /// The lesser.
    Min,
    /// The greater.
    Max,
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Relation {
    /// As it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Relation::Equal => "==",
            Relation::NotEqual => "!=",
            Relation::Less => "<",
            Relation::LessOrEqual => "<=",
            Relation::Greater => ">",
            Relation::GreaterOrEqual => ">=",
        }
    }

    /// Whether it holds.
    #[inline(always)]
    pub fn holds<T: Ord>(self, left: T, right: T) -> bool {
        match self {
            Relation::Equal => left == right,
            Relation::NotEqual => left != right,
            Relation::Less => left < right,
            Relation::LessOrEqual => left <= right,
            Relation::Greater => left > right,
            Relation::GreaterOrEqual => left >= right,
        }
    }
}

/// Which way a crossing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From at most the number to more.
    Above,
    /// From at least the number to less.
    Below,
}
